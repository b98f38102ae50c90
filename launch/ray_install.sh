#!/usr/bin/env bash
# Run on the machines of a Ray cluster by ray_cluster.yaml: installs fbnax with
# Ray and, where there is a GPU, with CUDA, and a Python where theirs is too old.
# Usage: bash launch/ray_install.sh [--dry-run]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
source "$root/launch/steps.sh"

[[ ${1:-} != --dry-run ]] || dry_run=1
extra=ray
if nvidia-smi --list-gpus 2>/dev/null | grep -q GPU; then
  extra=cuda,ray
fi
step ensure_python
step ensure_venv "$extra"
