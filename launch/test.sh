#!/usr/bin/env bash
# Lint, format, types, tests.
# Usage: bash launch/test.sh [ARGUMENTS OF PYTEST]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

ensure_venv test
# The report's tests look at it in a browser; without one they are skipped and
# say so.
if ! command -v chromium >/dev/null && [[ $(id -u) == 0 ]] &&
  command -v apt-get >/dev/null; then
  echo "installing chromium for the report's tests"
  if ! {
    timeout 120 apt-get -qq update &&
      DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -qq install -y \
        --no-install-recommends chromium
  } >/dev/null 2>&1; then
    echo "chromium could not be installed; going on without"
  fi
fi
cd "$root"
bin=.venv/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
# A file stays in one process, which keeps what its tests share.
workers=$(nproc)
"$bin/python" -m pytest -n "$((workers < 8 ? workers : 8))" --dist loadfile "$@"
