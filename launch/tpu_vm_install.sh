#!/usr/bin/env bash
# Run on a TPU VM by tpu_vm.sh: installs fbnax with JAX for TPUs, and a Python
# for it where the VM's own is too old.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  if ! command -v python3.11 >/dev/null; then
    sudo apt-get -qq update
    sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3.11-venv
  fi
  PYTHON=python3.11
fi
ensure_venv tpu
"$root/.venv/bin/python" "$root/launch/devices.py" tpu
