#!/usr/bin/env bash
# Lint, format, types, tests.
# Usage: bash launch/test.sh [ARGUMENTS OF PYTEST]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

ensure_venv test
# Installs a Debian package that tests need: `ensure_package NAME FILE`, FILE
# telling that it is there. Without it these tests are skipped and say so.
ensure_package() {
  if [[ -e $2 || $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    return
  fi
  echo "installing $1 for the tests"
  if ! {
    timeout 120 apt-get -qq update &&
      DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -qq install -y \
        --no-install-recommends "$1"
  } >/dev/null 2>&1; then
    echo "$1 could not be installed; going on without"
  fi
}
# Reports and trees are looked at in a browser; nouns name nodes of trees;
# launchers are checked by shellcheck.
ensure_package chromium "$(command -v chromium || true)"
ensure_package shellcheck "$(command -v shellcheck || true)"
ensure_package wordnet-base /usr/share/wordnet/data.noun
cd "$root"
bin=.venv/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
# A file stays in one process, which keeps what its tests share. A process that
# dies is not started again: xdist would wait for its file's other tests forever.
workers=$(nproc)
"$bin/python" -m pytest -n "$((workers < 8 ? workers : 8))" --dist loadfile \
  --max-worker-restart=0 "$@"
