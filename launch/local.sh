#!/usr/bin/env bash
# Searches networks for the embedded digits on this machine, and writes a
# report. Started again it goes on from where it was.
# Usage: bash launch/local.sh [WORKDIR]         default: runs/digits
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

workdir=${1:-$root/runs/digits}
ensure_venv ""
# In the place of this shell, so that a signal to it reaches the job.
exec "$root/.venv/bin/python" -m fbnax.main --config="$root/configs/nars.py" \
  --workdir="$workdir"
