#!/usr/bin/env bash
# Installs fbnax with CUDA and runs a job on this machine's GPU. Stopped or
# killed, the same command goes on from where it was.
# Usage: bash launch/gpu.sh [--dry-run] CONFIG WORKDIR [ARGUMENTS OF fbnax.main]
#   CUDA_VISIBLE_DEVICES=1 bash launch/gpu.sh ...     chooses the GPU
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
source "$root/launch/steps.sh"

if [[ ${1:-} == --dry-run ]]; then
  dry_run=1
  shift
fi
(($# >= 2)) || usage "$0"
config=$1 workdir=$2
shift 2

if ((!dry_run)) && ! nvidia-smi --list-gpus 2>/dev/null | grep -q GPU; then
  echo "error: nvidia-smi finds no GPU here; without one: bash launch/local.sh" \
    "or .venv/bin/python -m fbnax.main" >&2
  exit 1
fi
step ensure_venv cuda
python=$root/.venv/bin/python
step "$python" "$root/launch/devices.py" gpu
run=("$python" -m fbnax.main --config="$config" --workdir="$workdir" "$@")
# In the place of this shell, so that a signal to it reaches the job.
((dry_run)) || exec "${run[@]}"
quoted "${run[@]}"
