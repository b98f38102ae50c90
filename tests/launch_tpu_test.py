"""The launcher of TPU VMs: what it would run, and VMs that are taken away.

A program in gcloud's place keeps a folder for each VM and takes the first one
away; what runs there in fbnax's place counts in a file and a table.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile

import pytest

from launch import snapshot
from tests.launch_test import JOB, LAUNCH, ROOT, run_script


def test_tpu_vm_prints_its_commands():
  printed = run_script(
    LAUNCH / "tpu_vm.sh", "--dry-run", "all", *JOB, TPU_ZONE="us-west4-a"
  )
  vm = "gcloud compute tpus tpu-vm"
  steps = [line.split()[4] for line in printed.splitlines() if vm in line]
  again = ["delete", "create", "scp", "ssh", "ssh"]
  fetched = ["ssh", "scp", "ssh"]  # And started, where it does not run.
  assert steps == ["create", "scp", "ssh", "ssh", *fetched, *again, "delete"]
  assert printed.startswith(
    f"{vm} create fbnax --accelerator-type=v5litepod-1 "
    "--version=v2-alpha-tpuv5-lite --spot --zone=us-west4-a\n"
  )
  assert not list(ROOT.glob(".tpu-*"))


def test_tpu_vm_wants_a_zone():
  told = run_script(
    LAUNCH / "tpu_vm.sh", "--dry-run", "all", *JOB, code=2, TPU_ZONE=""
  )
  assert "TPU_ZONE is not set" in told


# In gcloud's place: `home` is the VM. Once it has given a part of the work
# something happens to it, and `taken` is there.
GCLOUD = """#!/bin/bash
cd {cloud}
echo "$4 $5" >>log
verb=$4
last=${{@: -1}}
case $verb in
  create) mkdir home && echo READY >state ;;
  delete)
    if [[ -f stuck ]]; then
      rm stuck
      exit 1
    fi
    rm -rf home state ;;
  describe)
    if [[ -f broken ]]; then
      cat broken >&2
      rm broken
      exit 1
    fi
    cat state 2>/dev/null && exit
    echo "ERROR: NOT_FOUND: no VM" >&2
    exit 1 ;;
  scp)
    from=${{5/#fbnax:/home/}} to=${{6/#fbnax:/home/}}
    [[ $from == home/* ]] || from={root}/$from
    [[ $to == home/* ]] || to={root}/$to
    cp "$from" "$to"
    if [[ $from == home/* && ! -f taken ]]; then
      shell=$(cat home/pid)
      {happens}
      touch taken
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
KILLED = 'kill -KILL "$shell" $(pgrep -P "$shell")'
PREEMPTED = f"{KILLED}; echo PREEMPTED >state"
JOB_PROGRAM = """
import fcntl, json, os, pathlib, sqlite3, sys, time
work = pathlib.Path(sys.argv[4].split("=")[1])
with pathlib.Path.home().parent.joinpath("starts").open("a") as starts:
  starts.write("start\\n")
if "--config.slow=1" in sys.argv:
  pathlib.Path.home().joinpath("pid").write_text(str(os.getppid()))
  time.sleep(2)
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
sys.exit(3 if "--config.wrong=1" in sys.argv else 0)
"""


@pytest.fixture
def places(tmp_path):
  """The project, the VMs, and the folder of the program in gcloud's place."""
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
  return root, cloud, bin_


def run_job(places, happens, *job, code=0):
  """Runs a job on VMs; what is printed, and what was done to VMs."""
  root, cloud, bin_ = places
  text = GCLOUD.format(cloud=cloud, root=root, happens=happens)
  (bin_ / "gcloud").write_text(text)
  (bin_ / "gcloud").chmod(0o755)
  printed = run_script(
    root / "launch" / "tpu_vm.sh",
    "all",
    *job,
    code=code,
    PATH=f"{bin_}:{os.environ['PATH']}",
    TPU_ZONE="here",
    TPU_INTERVAL="0.3",
    TPU_RETRIES="2",
  )
  done = [line.split()[0] for line in (cloud / "log").read_text().splitlines()]
  assert not (cloud / "home").exists()
  assert not list(root.glob(".tpu-*"))
  return printed, [verb for verb in done if verb in ("create", "delete")]


def trials(root):
  """Rows of the table that was fetched."""
  table = sqlite3.connect(root / "runs" / "x" / "trials.sqlite")
  rows = table.execute("SELECT id, vm FROM trials ORDER BY id").fetchall()
  table.close()
  assert [i for i, _ in rows] == list(range(40))
  return [vm for _, vm in rows]


def test_tpu_vm_goes_on_where_one_was_taken_away(places):
  root, *_ = places
  printed, done = run_job(places, PREEMPTED, *JOB)
  assert "the VM is PREEMPTED; making another one (1 of 2)" in printed
  assert done == ["create", "delete", "create", "delete"]
  found = root / "runs" / "x"
  assert json.loads((found / "result.json").read_text()) == [JOB[2]]
  # What had been fetched of the first was not done again.
  by = trials(root)
  assert by[:6] == ["first"] * 6
  assert set(by[10:]) == {"second"}


def test_tpu_vm_starts_the_job_where_the_vm_restarted(places):
  """The path may end in slashes, as shells complete it."""
  config, workdir, *rest = JOB
  _, done = run_job(places, KILLED, config, f"{workdir}//", *rest)
  assert done == ["create", "delete"]
  assert trials(places[0])[0] == "first"


def starts(places):
  """How often the job was started."""
  return len((places[1] / "starts").read_text().splitlines())


def test_tpu_vm_does_not_start_a_job_again_that_ended_meanwhile(places):
  """It ends while its work is on the way, and its code is not in it."""
  ended = "touch taken; until [[ -s home/fbnax/runs/x/tpu.code ]];"
  ended += " do sleep 0.05; done"
  run_job(places, ended, *JOB[:2], "--config.wrong=1", code=3)
  assert starts(places) == 1


def test_tpu_vm_does_not_start_a_job_again_that_is_loading(places):
  """It takes its own lock late, and another one would end with an error."""
  run_job(places, ":", *JOB[:2], "--config.slow=1")
  assert starts(places) == 1


@pytest.mark.parametrize(
  "said, verbs",
  [
    ("ERROR: 503 try again", ["create", "delete"]),
    # The VM is there all the same, so that no other one can be made.
    ("ERROR: NOT_FOUND: no VM", ["create", "create", "delete"]),
  ],
)
def test_tpu_vm_leaves_a_vm_alone_that_it_did_not_make(places, said, verbs):
  _, done = run_job(places, f"echo {said} >broken", *JOB)
  assert not (places[1] / "broken").exists()
  assert done == verbs
  assert set(trials(places[0])) <= {"first", "second"}
  assert starts(places) == 1


def test_tpu_vm_deletes_a_vm_that_could_not_be_deleted_at_first(places):
  _, done = run_job(places, "touch stuck", *JOB[:2], "--config.wrong=1", code=3)
  assert done == ["create", "delete", "delete"]


def test_tpu_vm_deletes_the_vm_of_a_job_that_fails(places):
  _, done = run_job(places, ":", *JOB[:2], "--config.wrong=1", code=3)
  assert done == ["create", "delete"]
  assert len(trials(places[0])) == 40


def test_a_snapshot_has_what_came_while_something_vanished(
  tmp_path, monkeypatch
):
  """Both checkpoints go while files are linked, and two others come."""
  work = tmp_path / "work"

  def save(step):
    (work / "checkpoints" / step).mkdir(parents=True)
    (work / "checkpoints" / step / "index.json").write_text(step)

  for step in ("1", "2"):
    save(step)
  # Of a snapshot that was killed.
  (tmp_path / ".work.snapshot" / "left").mkdir(parents=True)
  link = os.link

  def linked(file, to):
    monkeypatch.setattr(snapshot.os, "link", link)
    shutil.rmtree(work / "checkpoints")
    for step in ("3", "4"):
      save(step)
    link(file, to)

  monkeypatch.setattr(snapshot.os, "link", linked)
  snapshot.snapshot(work, tmp_path / "work.tgz")
  with tarfile.open(tmp_path / "work.tgz") as tar:
    names = sorted(m.name for m in tar if m.isfile())
  assert names == [f"checkpoints/{step}/index.json" for step in ("3", "4")]
  assert sorted(p.name for p in tmp_path.iterdir()) == ["work", "work.tgz"]


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
