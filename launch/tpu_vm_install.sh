#!/usr/bin/env bash
# Run on a TPU VM by tpu_vm.sh: installs fbnax with JAX for TPUs, and a Python
# for it where the VM's own is too old.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

ensure_python
ensure_venv tpu
"$root/.venv/bin/python" "$root/launch/devices.py" tpu
