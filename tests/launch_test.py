"""The launchers: what they would run, and a job whose machine is taken away.

A program in gcloud's place keeps a folder for each VM and takes the first one
away; what runs there in fbnax's place counts in a file and a table.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAUNCH = ROOT / "launch"
JOB = ("configs/nars.py", "runs/x", "--config.fix=resolution=8;a=b c")


def _run(script, *arguments, code=0, **environment):
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
  printed = _run(LAUNCH / "slurm.sbatch", "--dry-run", *JOB, EXTRA=extra)
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
  lines = _run(LAUNCH / "gpu.sh", "--dry-run", *JOB).splitlines()
  assert lines[0] == "ensure_venv cuda"
  assert lines[1].endswith("/launch/devices.py gpu")
  assert lines[2].endswith("'--config.fix=resolution=8;a=b c'")
  assert len(lines) == 3


def test_gpu_says_that_there_is_none(tmp_path):
  (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
  (tmp_path / "nvidia-smi").chmod(0o755)
  path = f"{tmp_path}:{os.environ['PATH']}"
  told = _run(LAUNCH / "gpu.sh", *JOB, code=1, PATH=path)
  assert "nvidia-smi finds no GPU here" in told


def test_tpu_vm_prints_its_commands():
  printed = _run(
    LAUNCH / "tpu_vm.sh", "--dry-run", "all", *JOB, TPU_ZONE="us-west4-a"
  )
  vm = "gcloud compute tpus tpu-vm"
  steps = [line.split()[4] for line in printed.splitlines() if vm in line]
  again = ["delete", "create", "scp", "ssh", "ssh"]
  fetched = ["ssh", "scp"]
  assert steps == ["create", "scp", "ssh", "ssh", *fetched, *again, "delete"]
  assert printed.startswith(
    f"{vm} create fbnax --accelerator-type=v5litepod-1 "
    "--version=v2-alpha-tpuv5-lite --spot --zone=us-west4-a\n"
  )
  assert not list(ROOT.glob(".tpu-*"))


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
    printed = _run(
      LAUNCH / "ray_install.sh",
      "--dry-run",
      PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert printed == f"ensure_python\nensure_venv {extra}\n"


@pytest.mark.parametrize(
  "script, arguments, words",
  [
    ("gpu.sh", (), "Usage: bash launch/gpu.sh"),
    ("slurm.sbatch", ("a",), "Usage: sbatch"),
    ("tpu_vm.sh", ("all", "a"), "Usage: bash launch/tpu_vm.sh"),
    ("tpu_vm.sh", ("alle", "a", "b"), "Usage: bash launch/tpu_vm.sh"),
    ("tpu_vm.sh", ("all", "a", "/b"), "/b; legal: a path below"),
    ("tpu_vm.sh", ("all", "a", "b/../.."), "legal: a path below"),
    ("tpu_vm.sh", ("all", "a", "b c"), "b c; legal: a path below"),
  ],
)
def test_what_is_wrong_is_told(script, arguments, words):
  told = _run(
    LAUNCH / script, "--dry-run", *arguments, code=2, TPU_ZONE="us-west4-a"
  )
  assert words in told
  assert len(told.splitlines()) < 15


def test_tpu_vm_wants_a_zone():
  told = _run(
    LAUNCH / "tpu_vm.sh", "--dry-run", "all", *JOB, code=2, TPU_ZONE=""
  )
  assert "TPU_ZONE is not set" in told


# In gcloud's place: `home` is the VM, `taken` tells that the first is gone.
GCLOUD = """#!/bin/bash
cd {cloud}
echo "$4 $5" >>log
verb=$4
last=${{@: -1}}
case $verb in
  create) mkdir home; echo READY >state ;;
  delete) rm -rf home state ;;
  describe) cat state 2>/dev/null || exit 1 ;;
  scp)
    from=${{5/#fbnax:/home/}} to=${{6/#fbnax:/home/}}
    [[ $from == home/* ]] || from={root}/$from
    [[ $to == home/* ]] || to={root}/$to
    cp "$from" "$to"
    # Once it has given a part of the work it is taken away.
    if [[ $from == home/* && ! -f taken ]]; then
      touch taken
      pkill -KILL -P "$(cat home/pid)"
      echo PREEMPTED >state
    fi ;;
  ssh)
    for word; do
      [[ $word != --command=* ]] || command=${{word#--command=}}
    done
    cd home
    HOME=$PWD bash -c "$command" ;;
esac
"""
# In place of the virtual environment's Python, on the VM.
PYTHON = """#!/bin/bash
if [[ $1 == -m ]]; then exec {python} {job} "$@"; fi
exec {python} "$@"
"""
JOB_PROGRAM = """
import fcntl, json, os, pathlib, sqlite3, sys, time
work = pathlib.Path(sys.argv[4].split("=")[1])
lock = open(work / "lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
table = sqlite3.connect(work / "trials.sqlite", isolation_level=None)
table.execute("PRAGMA journal_mode = WAL")
table.execute("CREATE TABLE IF NOT EXISTS trials (id PRIMARY KEY, vm)")
pathlib.Path.home().joinpath("pid").write_text(str(os.getppid()))
taken = pathlib.Path.home().parent.joinpath("taken")
for i in range(40):
  vm = "second" if taken.exists() else "first"
  table.execute("INSERT OR IGNORE INTO trials VALUES (?, ?)", (i, vm))
  if i == 5:
    while not taken.exists():
      time.sleep(0.05)
(work / "result.json").write_text(json.dumps(sys.argv[5:]))
"""


def test_tpu_vm_goes_on_where_one_was_taken_away(tmp_path):
  root, cloud, bin_ = (tmp_path / name for name in ("root", "cloud", "bin"))
  for folder in (root, cloud, bin_):
    folder.mkdir()
  for name in ("configs", "fbnax", "LICENSE", "README.md", "pyproject.toml"):
    (root / name).touch()
  (root / "constraints.txt").touch()
  shutil.copytree(
    LAUNCH, root / "launch", ignore=shutil.ignore_patterns("colab", "examples")
  )
  # What is installed there is not what is looked at.
  (root / "launch" / "tpu_vm_install.sh").write_text(
    "mkdir -p fbnax/.venv/bin; cp fbnax/fbnax fbnax/.venv/bin/python"
  )
  (tmp_path / "job.py").write_text(JOB_PROGRAM)
  (root / "fbnax").write_text(
    PYTHON.format(python=sys.executable, job=tmp_path / "job.py")
  )
  (root / "fbnax").chmod(0o755)
  (bin_ / "gcloud").write_text(GCLOUD.format(cloud=cloud, root=root))
  (bin_ / "gcloud").chmod(0o755)
  printed = _run(
    root / "launch" / "tpu_vm.sh",
    "all",
    *JOB,
    PATH=f"{bin_}:{os.environ['PATH']}",
    TPU_ZONE="here",
    TPU_INTERVAL="0.3",
    TPU_RETRIES="2",
  )
  assert "the VM is PREEMPTED; making another one (1 of 2)" in printed
  found = root / "runs" / "x"
  assert json.loads((found / "result.json").read_text()) == [JOB[2]]
  table = sqlite3.connect(found / "trials.sqlite")
  rows = table.execute("SELECT id, vm FROM trials ORDER BY id").fetchall()
  table.close()
  assert [i for i, _ in rows] == list(range(40))
  # What had been fetched of the first was not done again.
  assert [vm for _, vm in rows[:6]] == ["first"] * 6
  assert {vm for _, vm in rows[10:]} == {"second"}
  assert not (cloud / "home").exists()
  assert not list(root.glob(".tpu-*"))


def test_a_snapshot_is_of_one_state(tmp_path):
  work = tmp_path / "work"
  (work / "members" / "a").mkdir(parents=True)
  (work / "members" / "a" / "model.json").write_text("{}")
  for name in ("lock", ".result.json.3.tmp", "trials.sqlite-journal"):
    (work / name).write_text("x")
  (work / "trials.sqlite-journal").unlink()
  table = sqlite3.connect(work / "trials.sqlite", isolation_level=None)
  table.execute("PRAGMA journal_mode = WAL")
  table.execute("CREATE TABLE trials (id)")
  table.execute("INSERT INTO trials VALUES (7)")
  table.execute("BEGIN")
  table.execute("INSERT INTO trials VALUES (8)")
  subprocess.run(
    [
      sys.executable,
      str(LAUNCH / "snapshot.py"),
      str(work),
      str(tmp_path / "work.tgz"),
    ],
    check=True,
  )
  with tarfile.open(tmp_path / "work.tgz") as tar:
    names = sorted(m.name for m in tar if m.isfile())
    tar.extractall(tmp_path / "copy", filter="data")
  assert names == ["members/a/model.json", "trials.sqlite"]
  copy = sqlite3.connect(tmp_path / "copy" / "trials.sqlite")
  assert copy.execute("SELECT id FROM trials").fetchall() == [(7,)]
  copy.close()
  table.close()
