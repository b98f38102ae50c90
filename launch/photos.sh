#!/usr/bin/env bash
# From a folder of photographs to a family of networks, in about half an hour:
# fine-tunes ImageNet's EfficientNet-Lite0 with all its smaller networks inside.
# Started again it goes on from where it was.
# Usage: bash launch/photos.sh PHOTOS [WORKDIR] [FLAGS OF THE JOB]
#   PHOTOS    a folder for each class, or train/ and test/ with such folders
#   WORKDIR   default: runs/photos
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

if [[ ! -d ${1:-} ]]; then
  echo "Usage: bash launch/photos.sh PHOTOS [WORKDIR] [FLAGS OF THE JOB]" >&2
  exit 2
fi
photos=$(cd "$1" && pwd)
shift
workdir=$root/runs/photos
if [[ $# -gt 0 && $1 != -* ]]; then
  workdir=$1
  shift
fi
ensure_venv lite0
# In the place of this shell, so that a signal to it reaches the job.
exec "$root/.venv/bin/python" -m fbnax.main \
  --config="$root/configs/nars.py:photos" --config.data.path="$photos" \
  --workdir="$workdir" "$@"
