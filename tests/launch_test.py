"""The launchers: what they would run, and what becomes of a signal."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAUNCH = ROOT / "launch"
JOB = ("configs/nars.py", "runs/x", "--config.fix=resolution=8;a=b c")


def run_script(script, *arguments, code=0, **environment):
  done = subprocess.run(
    ["bash", str(script), *arguments],
    capture_output=True,
    text=True,
    timeout=60,
    env=os.environ | environment,
    check=False,
  )
  assert done.returncode == code, done.stderr
  return done.stdout if code == 0 else done.stderr


def test_shellcheck_finds_nothing():
  if not shutil.which("shellcheck"):
    pytest.skip("no shellcheck here; launch/test.sh installs it as root")
  scripts = [*sorted(LAUNCH.glob("*.sh")), LAUNCH / "slurm.sbatch"]
  done = subprocess.run(
    ["shellcheck", "-x", "-P", f"{ROOT}:{LAUNCH}", *scripts],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("extra", ("cuda", ""))
def test_slurm_prints_its_commands(extra):
  printed = run_script(LAUNCH / "slurm.sbatch", "--dry-run", *JOB, EXTRA=extra)
  python = f"{ROOT}/.venv/bin/python"
  checked = [f"{python} {LAUNCH}/devices.py gpu"] if extra else []
  assert printed.splitlines() == [
    "ensure_venv cuda" if extra else "ensure_venv ''",
    *checked,
    f"{python} -m fbnax.main --config=configs/nars.py --workdir=runs/x "
    "'--config.fix=resolution=8;a=b c'",
    "# if its time is up before it ends:",
    'scontrol requeue "$SLURM_JOB_ID"',
  ]


# In place of the virtual environment's Python, on a node.
NODE_PYTHON = """#!/bin/bash
[[ $1 == -m ]] || exit 0
trap 'echo saved; exit 143' TERM
echo running
[[ $2 != fbnax.main || $3 != --config=wrong ]] || exit 2
[[ $3 != --config=short ]] || exit 0
while true; do sleep 0.05; done
"""


def _node(folder):
  """A project without anything to install, and Slurm's program beside it."""
  (folder / "launch").mkdir()
  shutil.copy(LAUNCH / "steps.sh", folder / "launch")
  (folder / "launch" / "venv.sh").write_text("ensure_venv() { :; }\n")
  (folder / ".venv" / "bin").mkdir(parents=True)
  for path, text in (
    (folder / ".venv" / "bin" / "python", NODE_PYTHON),
    (folder / "scontrol", f'#!/bin/bash\necho "$@" >>{folder}/asked\n'),
  ):
    path.write_text(text)
    path.chmod(0o755)
  return os.environ | {
    "PATH": f"{folder}:{os.environ['PATH']}",
    "SLURM_JOB_ID": "7",
    "SLURM_SUBMIT_DIR": str(folder),
  }


def test_slurm_saves_and_queues_again(tmp_path):
  process = subprocess.Popen(
    ["bash", LAUNCH / "slurm.sbatch", "configs/nars.py", "runs/x"],
    env=_node(tmp_path),
    stdout=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == "running\n"
  process.send_signal(signal.SIGTERM)
  out, _ = process.communicate(timeout=30)
  assert process.returncode == 0
  assert out == "saved\nsaved (exit code 143); queued again\n"
  assert (tmp_path / "asked").read_text() == "requeue 7\n"


@pytest.mark.parametrize("config, code", (("short", 0), ("wrong", 2)))
def test_slurm_ends_as_the_job_does(tmp_path, config, code):
  done = subprocess.run(
    ["bash", LAUNCH / "slurm.sbatch", config, "runs/x"],
    env=_node(tmp_path),
    stdout=subprocess.DEVNULL,
    check=False,
  )
  assert done.returncode == code
  assert not (tmp_path / "asked").exists()


def test_gpu_prints_its_commands():
  lines = run_script(LAUNCH / "gpu.sh", "--dry-run", *JOB).splitlines()
  assert lines[0] == "ensure_venv cuda"
  assert lines[1].endswith("/launch/devices.py gpu")
  assert lines[2].endswith("'--config.fix=resolution=8;a=b c'")
  assert len(lines) == 3


@pytest.mark.parametrize(
  "script, arguments",
  [("gpu.sh", ("configs/nars.py", "runs/x")), ("local.sh", ("runs/x",))],
)
def test_a_signal_to_the_script_reaches_the_job(tmp_path, script, arguments):
  environment = _node(tmp_path)
  shutil.copy(LAUNCH / script, tmp_path / "launch")
  (tmp_path / "launch" / "venv.sh").write_text(
    f"root={tmp_path}\nensure_venv() {{ :; }}\n"
  )
  (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho GPU 0: fast\n")
  (tmp_path / "nvidia-smi").chmod(0o755)
  process = subprocess.Popen(
    ["bash", tmp_path / "launch" / script, *arguments],
    env=environment,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == "running\n"
  process.send_signal(signal.SIGTERM)
  out, _ = process.communicate(timeout=30)
  assert (process.returncode, out) == (143, "saved\n")


def test_gpu_says_that_there_is_none(tmp_path):
  (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
  (tmp_path / "nvidia-smi").chmod(0o755)
  path = f"{tmp_path}:{os.environ['PATH']}"
  told = run_script(LAUNCH / "gpu.sh", *JOB, code=1, PATH=path)
  assert "nvidia-smi finds no GPU here" in told


def _ray_clusters():
  """The cluster of `ray_cluster.yaml`, and that of one's own machines."""
  yaml = pytest.importorskip("yaml", reason="Ray is not installed (extra ray)")
  text = (LAUNCH / "ray_cluster.yaml").read_text("utf-8")
  head, _, rest = re.split(r"(?m)^# -+\n", text)
  own = head + re.sub(r"(?m)^#:", "", rest)
  assert all(len(line) <= 86 for line in text.splitlines())
  return text, [yaml.safe_load(version) for version in (text, own)]


def test_ray_takes_the_cluster():
  """By the checks with which `ray up` begins."""
  util = pytest.importorskip(
    "ray.autoscaler._private.util", reason="Ray is not installed (extra ray)"
  )
  _, clusters = _ray_clusters()
  filled = [util.prepare_config(cluster) for cluster in clusters]
  for cluster in filled:
    util.validate_config(cluster)
  cloud, own = filled
  assert cloud["available_node_types"]["worker"]["max_workers"] == 8
  assert own["provider"]["type"] == "local"
  (node,) = own["available_node_types"].values()
  assert node["max_workers"] == len(own["provider"]["worker_ips"]) == 2


def test_the_commands_of_a_ray_cluster():
  text, (cloud, own) = _ray_clusters()
  keys = [key for key in cloud if key.endswith("_commands")]
  assert len(keys) == 6 and all(cloud[key] == own[key] for key in keys)
  commands = [command for key in keys for command in cloud[key]]
  (mounted,) = cloud["file_mounts"]
  for command in commands:
    subprocess.run(["bash", "-n", "-c", command], check=True)
    # Nothing but what is installed there, or what the project has.
    for path in re.findall(rf"{re.escape(mounted)}/(\S+)", command):
      assert path.startswith(".venv/bin/") or (ROOT / path).is_file()
  (port,) = re.findall(r"--port=(\d+)", cloud["head_start_ray_commands"][1])
  joined = cloud["worker_start_ray_commands"][1]
  assert joined.endswith(f"--address=$RAY_HEAD_IP:{port}")
  # What its head says to run is a command of this project's.
  assert "--config=configs/nars.py" in text
  assert "--config.evaluator=ray --config.ray.address=auto" in text


def test_ray_install_prints_its_commands(tmp_path):
  for lists, extra in (("exit 9", "ray"), ("echo GPU 0: fast", "cuda,ray")):
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{lists}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    printed = run_script(
      LAUNCH / "ray_install.sh",
      "--dry-run",
      PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert printed == f"ensure_python\nensure_venv {extra}\n"


@pytest.mark.parametrize(
  "script, arguments, words",
  [
    ("gpu.sh", (), "Usage: bash launch/gpu.sh"),
    ("photos.sh", (), "Usage: bash launch/photos.sh"),
    ("slurm.sbatch", ("a",), "Usage: sbatch"),
    ("tpu_vm.sh", ("all", "a"), "Usage: bash launch/tpu_vm.sh"),
    ("tpu_vm.sh", ("alle", "a", "b"), "Usage: bash launch/tpu_vm.sh"),
    ("tpu_vm.sh", ("all", "a", "/b"), "/b; legal: a path below"),
    ("tpu_vm.sh", ("all", "a", "b/../.."), "legal: a path below"),
    ("tpu_vm.sh", ("all", "a", "b c"), "b c; legal: a path below"),
  ],
)
def test_what_is_wrong_is_told(script, arguments, words):
  told = run_script(
    LAUNCH / script, "--dry-run", *arguments, code=2, TPU_ZONE="us-west4-a"
  )
  assert words in told
  assert len(told.splitlines()) < 15
