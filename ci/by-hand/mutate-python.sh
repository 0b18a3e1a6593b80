#!/usr/bin/env bash
# Faults put into Python code, one after the other, to see whether a unit test fails with each (cosmic-ray, from PyPI).
#
#   ci/by-hand/mutate-python.sh                            all of its, redist, trace and calibrate: many hours
#   ci/by-hand/mutate-python.sh python/vgic/trace/check.py one file: ten minutes
#
# The project must be built (make build). Nothing of the working tree is touched: what is mutated is a copy in
# target/mutants/tree, the tool has a virtual environment of its own in target/mutants/venv, and the tests run with the
# project's. A file's session is kept in target/mutants, so a run that was stopped goes on where it was; it starts anew
# if the sources or the tests have changed. Survivors are printed as diffs: a test is missing, or it means the same.
#
# Tried on trace/check.py until it was stopped, after 83 of 205 mutants: 72 were noticed. Of the 11 that survived five got
# a test (what is left, in_order, the INTID of MAPI, and two of "100.00%"). The others are no faults:
#   frozen=False, slots=False (3)  a value that nobody changes; slots are for its size
#   answered is recorded           the same for numbers that are the same object, as those of a test are
#   kind >= "mapti"                the only other kind there is "mapi", which is less
#   .get(operands[1], -1)          an MSI of an event that is not mapped: neither 0 nor -1 is an LPI
set -euo pipefail
cd "$(dirname "$0")/../.."
root="$PWD"
work="$root/target/mutants"
tool="$work/venv/bin"

# The unit tests that are to notice: of a file, or of its package.
tests_of() {
  case "$1" in
    */its/frame.py) echo "test_its_frame test_frame_locks test_its_tables" ;;
    */its/*) echo "test_its_tables test_its_frame" ;;
    */redist/*) echo "test_redist_frame test_frame_locks" ;;
    */trace/check.py) echo "test_trace_check" ;;
    */trace/registers.py) echo "test_trace_registers" ;;
    */trace/spelling.py) echo "test_trace_spelling" ;;
    */trace/topology.py) echo "test_trace_topology" ;;
    */trace/*) echo "test_trace_check test_trace_qemu test_trace_registers test_trace_topology" ;;
    */calibrate/fit.py | */calibrate/parameters.py) echo "test_calibrate_misfit test_calibrate" ;;
    */calibrate/*) echo "test_calibrate" ;;
    *)
      echo "mutate-python.sh: $1: no unit tests are named for it; see tests_of in this script" >&2
      return 2
      ;;
  esac
}

files=("$@")
if [ "${#files[@]}" -eq 0 ]; then
  files=(python/vgic/{its,redist,trace,calibrate}/*.py)
fi
for file in "${files[@]}"; do
  [ -f "$file" ] || { echo "mutate-python.sh: $file: no such file, seen from the project's folder" >&2; exit 2; }
  tests_of "$file" >/dev/null
done
[ -x .venv/bin/pytest ] || { echo "mutate-python.sh: no .venv/bin/pytest: run make test-python first" >&2; exit 2; }
mkdir -p "$work"
if [ ! -x "$tool/cosmic-ray" ]; then
  .venv/bin/python -m venv "$work/venv"
  "$tool/pip" install --quiet --disable-pip-version-check "cosmic-ray>=8.4,<9"
fi

# A copy, real files throughout: the tool writes into it.
rm -rf "$work/tree"
mkdir "$work/tree"
cp -r python tests examples docs pyproject.toml "$work/tree"
find "$work/tree" -name __pycache__ -prune -exec rm -rf {} +
cd "$work/tree"
state="$(find python tests -name '*.py' -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)"
if [ "$(cat "$work/state" 2>/dev/null)" != "$state" ]; then
  rm -f "$work"/*.sqlite
  echo "$state" >"$work/state"
fi
export PYTHONPATH="$work/tree/python" PYTHONDONTWRITEBYTECODE=1

for file in "${files[@]}"; do
  read -ra names <<<"$(tests_of "$file")"
  session="$work/$(echo "${file#python/vgic/}" | tr / -).sqlite"
  # The time is only against hanging: a mutant that loops for ever counts as noticed.
  cat >"$work/config.toml" <<TOML
[cosmic-ray]
module-path = "$file"
timeout = 300.0
excluded-modules = []
test-command = "$root/.venv/bin/pytest -q -x -p no:cacheprovider ${names[*]/#/tests/unit/}"

[cosmic-ray.distributor]
name = "local"
TOML
  sed -i -E 's@(tests/unit/[a-z_]+)@\1.py@g' "$work/config.toml"
  echo "$file: ${names[*]}"
  "$tool/cosmic-ray" baseline "$work/config.toml"
  [ -e "$session" ] || "$tool/cosmic-ray" init "$work/config.toml" "$session"
  "$tool/cosmic-ray" exec "$work/config.toml" "$session"
  "$tool/cr-report" --surviving-only --show-diff "$session"
done
