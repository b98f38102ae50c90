# shellcheck shell=bash
# Sourced by the scripts beside it: `ensure_venv EXTRA` makes .venv hold the
# project and its pinned dependencies, with an extra of pyproject.toml or "".
# It does nothing where .venv holds them already. PYTHON names the interpreter;
# `ensure_python`, on a machine of Debian's kind that is there for this alone,
# installs one where it is too old.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

ensure_venv() {
  local extra=$1 base=${PYTHON:-python3} stamp hash
  if ! command -v "$base" >/dev/null; then
    echo "error: there is no $base; install Python 3.11 or newer" >&2
    return 1
  fi
  if ! "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: $base is $("$base" -V 2>&1); fbnax needs 3.11 or newer:" \
      "PYTHON=/path/to/python3.11 bash $0" >&2
    return 1
  fi
  stamp=$root/.venv/installed${extra:+-$extra}
  hash=$({
    echo "$root"
    "$base" -V
    cat "$root/pyproject.toml" "$root/constraints.txt"
  } | cksum)
  if [[ -f $stamp && $(<"$stamp") == "$hash" ]]; then
    return
  fi
  echo "installing into $root/.venv (the first time takes a minute or two)"
  if ! "$base" -m venv "$root/.venv"; then
    echo "error: $base cannot make a virtual environment (on Debian:" \
      "apt-get install python3-venv)" >&2
    return 1
  fi
  # A dot for each package: pip is either silent or says too much.
  local log=$root/.venv/install.log
  if ! (
    cd "$root"
    .venv/bin/python -m pip install --disable-pip-version-check \
      --progress-bar off -c constraints.txt -e ".${extra:+[$extra]}" 2>&1 |
      tee "$log" |
      awk '/^ *(Collecting|Downloading|Installing)/ {printf "."; fflush()}'
  ); then
    echo
    grep -v '^WARNING' "$log" | tail -n 20 >&2
    echo "error: the installation failed; all of it is in $log" >&2
    return 1
  fi
  echo
  echo "$hash" >"$stamp"
}

ensure_python() {
  if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    return
  fi
  if ! command -v python3.11 >/dev/null; then
    sudo apt-get -qq update
    sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3.11-venv
  fi
  PYTHON=python3.11
}
