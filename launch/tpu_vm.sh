#!/usr/bin/env bash
# Runs a job on a Google Cloud TPU VM of one host: makes it, installs, runs and
# fetches the work directory every few minutes; when the VM is taken away makes
# another one, puts there what was fetched, and goes on; deletes it in the end.
# Usage: bash launch/tpu_vm.sh [--dry-run] STEP CONFIG WORKDIR [ARGUMENTS]
#   STEP is all, or one of create, install, run, fetch, delete; CONFIG and
#   WORKDIR are paths below fbnax's folder; ARGUMENTS are those of fbnax.main
#   TPU_ZONE=us-west4-a         where; must be given
#   TPU_NAME=fbnax              of the VM; one for each job
#   TPU_TYPE=v5litepod-1        accelerator
#   TPU_VERSION=v2-alpha-tpuv5-lite     software of the VM
#   TPU_SPOT=1                  0 for a VM that is not taken away
#   TPU_RETRIES=20              how many VMs are made after the first
#   TPU_INTERVAL=300            seconds between two fetches
# Needs gcloud, logged in, with a project. Killed itself, `run` goes on.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/launch/steps.sh"

name=${TPU_NAME:-fbnax}
type=${TPU_TYPE:-v5litepod-1}
version=${TPU_VERSION:-v2-alpha-tpuv5-lite}
retries=${TPU_RETRIES:-20}
interval=${TPU_INTERVAL:-300}

if [[ ${1:-} == --dry-run ]]; then
  dry_run=1
  shift
fi
(($# >= 3)) || usage "$0"
what=$1 config=$2 workdir=$3
shift 3
arguments=("$@")
if [[ -z ${TPU_ZONE:-} ]]; then
  echo "error: TPU_ZONE is not set; such as TPU_ZONE=us-west4-a" >&2
  exit 2
fi
for path in "$config" "$workdir"; do
  if [[ ! $path =~ ^[A-Za-z0-9_][A-Za-z0-9_./:-]*$ || $path == *..* ]]; then
    echo "error: $path; legal: a path below $root, of letters, digits" \
      "and ._:-/" >&2
    exit 2
  fi
done
while [[ $workdir == */ ]]; do
  workdir=${workdir%/}
done
if ((!dry_run)) && ! command -v gcloud >/dev/null; then
  echo "error: there is no gcloud; see cloud.google.com/sdk" >&2
  exit 1
fi
cd "$root"
archive=.tpu-$name.tgz

tpu() {
  step gcloud compute tpus tpu-vm "$@" --zone="$TPU_ZONE"
}

on_vm() {
  tpu ssh "$name" --command="$1"
}

create() {
  local options=(--accelerator-type="$type" --version="$version")
  [[ ${TPU_SPOT:-1} != 1 ]] || options+=(--spot)
  tpu create "$name" "${options[@]}"
}

# Sends the project and, if there is one, the work directory.
install() {
  local sent=(configs fbnax launch LICENSE README.md pyproject.toml
    constraints.txt)
  [[ ! -d $workdir ]] || sent+=("$workdir")
  step tar --exclude=__pycache__ -czf "$archive" "${sent[@]}" &&
    tpu scp "$archive" "$name:fbnax.tgz" &&
    step rm -f "$archive" &&
    on_vm "mkdir -p fbnax && tar -xzf fbnax.tgz -C fbnax &&\
 bash fbnax/launch/tpu_vm_install.sh"
}

# The job lives on without the connection, and leaves its exit code; where it
# runs already it is not started again. Its lock says so only when it has loaded
# and until it ends, ~/tpu.lock from the start to the exit code: that is tried
# first, as who tries the job's own lock holds it for a moment, and a job that
# takes it just then would end. `start again` does nothing where there is an exit
# code.
start() {
  local job first="rm -f $workdir/tpu.code"
  [[ ${1:-} != again ]] || first="[[ ! -f $workdir/tpu.code ]]"
  job=$(quoted .venv/bin/python -m fbnax.main --config="$config" \
    --workdir="$workdir" "${arguments[@]}")
  job="if $first; then $job; echo \$? >$workdir/tpu.code; fi"
  on_vm "cd fbnax && mkdir -p $workdir && if flock -n ~/tpu.lock true &&\
 flock -n $workdir/lock true;\
 then nohup setsid flock -n -o ~/tpu.lock bash -c ${job@Q}\
 >>$workdir/tpu.log 2>&1 </dev/null & fi"
}

# Takes the place of the work directory when all of it is here.
fetch() {
  on_vm "cd fbnax && .venv/bin/python launch/snapshot.py $workdir ~/work.tgz" &&
    tpu scp "$name:work.tgz" "$archive" &&
    step rm -rf "$workdir.new" "$workdir.old" &&
    step mkdir -p "$workdir" "$workdir.new" &&
    step tar -xzf "$archive" -C "$workdir.new" &&
    step mv "$workdir" "$workdir.old" &&
    step mv "$workdir.new" "$workdir" &&
    step rm -rf "$workdir.old" "$archive"
}

delete() {
  tpu delete "$name" --quiet
}

# A VM costs as long as it is there; that it could not be deleted is told, and
# does not take the place of the job's exit code.
delete_surely() {
  local tries=3
  until delete; do
    [[ $(state) != ABSENT ]] || return 0
    tries=$((tries - 1))
    if ((tries == 0)); then
      echo "error: the VM $name may still be there, and cost; delete it" >&2
      return 0
    fi
    sleep "$interval"
  done
}

# Of the VM; ABSENT where there is none, UNKNOWN where gcloud cannot tell.
state() {
  local found
  if found=$(gcloud compute tpus tpu-vm describe "$name" --zone="$TPU_ZONE" \
    --format='value(state)' 2>"$archive.said"); then
    echo "$found"
  elif grep -q NOT_FOUND "$archive.said"; then
    echo ABSENT
  else
    echo UNKNOWN
    cat "$archive.said" >&2
  fi
  rm -f "$archive.said"
}

# Runs the job to its end, on as many VMs as it takes; its exit code.
run() {
  local made=0 found code
  start || return
  if ((dry_run)); then
    echo "# every $interval seconds, and in the end:"
    fetch
    echo "# where the VM has restarted, and the job has not:"
    start again
    echo "# where the VM was taken away, up to $retries times:"
    delete
    create
    install
    start
    return
  fi
  while true; do
    sleep "$interval"
    found=$(state)
    if [[ $found == READY ]]; then
      # A connection may fail of itself: the next fetch is as good.
      fetch || continue
      if [[ ! -f $workdir/tpu.code ]]; then
        start again || true
      elif fetch; then
        code=$(<"$workdir/tpu.code")
        tail -n 20 "$workdir/tpu.log"
        return "$code"
      fi
      continue
    fi
    # It may be there, and work.
    [[ $found != UNKNOWN ]] || continue
    if ((made == retries)); then
      echo "error: the VM is $found, and $made others were made; the same" \
        "command goes on later" >&2
      return 1
    fi
    made=$((made + 1))
    echo "the VM is $found; making another one ($made of $retries)"
    [[ $found == ABSENT ]] || delete || true
    if create; then
      { install && start; } || delete_surely
    fi
  done
}

case $what in
  all)
    create
    code=0
    { install && run; } || code=$?
    delete_surely # However the job has ended.
    exit "$code"
    ;;
  create | install | run | fetch | delete) "$what" ;;
  *) usage "$0" ;;
esac
