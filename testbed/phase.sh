# Sourced by the scripts beside it.

say() { printf 'testbed: %s\n' "$*"; }

# phase <what> <command...>: runs the command, or the function with `set -e` in force, and says how long it
# took. Its output is shown only when it fails; then the script ends.
phase() {
  local what=$1 started=$SECONDS code=0 log
  shift
  log=$(mktemp)
  say "$what ..."
  # Not as the condition of an `if`, where bash would ignore `set -e` inside the function.
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1
  code=$?
  set -e
  if ((code != 0)); then tail -n 40 "$log" >&2; fi
  rm -f "$log"
  if ((code != 0)); then
    say "$what: FAILED after $((SECONDS - started)) s (exit $code); its last lines are above" >&2
    exit 1
  fi
  say "$what: done in $((SECONDS - started)) s"
}
