# shellcheck shell=bash
# Sourced by the scripts beside it: `step COMMAND...` runs a command or, where
# `dry_run` is 1, prints it as it could be typed.

dry_run=0

step() {
  if ((dry_run)); then
    quoted "$@"
  else
    "$@"
  fi
}

# A command in one line: what a shell would take apart is quoted.
quoted() {
  local word line=""
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word=${word@Q}
    line+=" $word"
  done
  echo "${line:1}"
}

# Prints how to use a script, from its head, and ends it.
usage() {
  sed -n '/^# Usage/,/^[^#]/s/^# //p' "$1" >&2
  exit 2
}
