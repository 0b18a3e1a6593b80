#!/usr/bin/env bash
# Faults put into Python code, to see whether a unit test fails with each (mutmut, from PyPI).
#
#   ci/by-hand/mutate-python.sh                             all of its, redist, trace and calibrate
#   ci/by-hand/mutate-python.sh python/vgic/trace/check.py  one file: a minute of processor time
#
# The project must be built (make build). Nothing of the working tree is touched: what is mutated is a copy in
# target/mutants/python, and the tool has a virtual environment of its own beside it, which sees the project's. mutmut puts
# all faults into a file at once, loads the tests once, and tries each fault with the tests that come by it in a process
# that is forked off. Only functions are changed. A run that was stopped goes on where it was, unless the sources or the
# tests have changed. Survivors are printed as differences: a test is missing, or it means the same. What is known is in
# ci/by-hand/survivors.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
root="$PWD"
work="$root/target/mutants"
tool="$work/venv-python/bin"

# The unit tests that are to notice; of calibrate's those that need no simulator.
tests_of() {
  case "$1" in
    python/vgic/its/*.py | python/vgic/redist/*.py) echo frame_accesses its_frame its_restore its_tables redist_frame frame_locks kvm_device ;;
    python/vgic/vm/*.py) echo topology kvm_device memory vm its_tables on_pending ;;
    python/vgic/trace/*.py) echo trace_check trace_pieces trace_qemu trace_recording trace_registers trace_spelling trace_topology ;;
    python/vgic/calibrate/*.py) echo calibrate_{measured,misfit,parameters,rates,rows,search} ;;
    *)
      echo "mutate-python.sh: $1: no unit tests are named for it; see tests_of in this script" >&2
      return 2
      ;;
  esac
}

# As a list of TOML.
list() { printf '"%s", ' "$@"; }

files=("$@")
if [ "${#files[@]}" -eq 0 ]; then
  files=(python/vgic/{its,redist,trace,calibrate}/*.py)
fi
tests=()
for file in "${files[@]}"; do
  [ -f "$file" ] || { echo "mutate-python.sh: $file: no such file, seen from the project's folder" >&2; exit 2; }
  names="$(tests_of "$file")"
  for name in $names; do tests+=("tests/unit/test_$name.py"); done
done
mapfile -t tests < <(printf '%s\n' "${tests[@]}" | sort -u)
[ -x .venv/bin/pytest ] || { echo "mutate-python.sh: no .venv/bin/pytest: run make test-python first" >&2; exit 2; }
mkdir -p "$work"
if [ ! -x "$tool/mutmut" ]; then
  .venv/bin/python -m venv "$work/venv-python"
  "$tool/pip" install --quiet --disable-pip-version-check "mutmut>=3.8,<4"
  "$tool/python" -c 'import site; print(site.getsitepackages()[0])' | while read -r packages; do
    "$root/.venv/bin/python" -c 'import site; print(site.getsitepackages()[0])' >"$packages/project.pth"
  done
fi

# A copy, with the sources where the tool looks for them.
state="$(printf '%s\n' "${files[@]}" | cat - <(find python tests -name '*.py' -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum)"
if [ "$(cat "$work/state" 2>/dev/null)" != "$state" ]; then
  rm -rf "$work/python"
  mkdir "$work/python"
  cp -r tests examples docs ./*.md "$work/python"
  cp -r python "$work/python/src"
  {
    cat pyproject.toml
    echo "[tool.mutmut]"
    echo 'source_paths = ["src/vgic"]'
    echo 'also_copy = ["src", "tests", "examples", "docs"]'
    echo "only_mutate = [$(list "${files[@]/#python/src}")]"
    echo "pytest_add_cli_args_test_selection = [$(list "${tests[@]}")]"
  } >"$work/python/pyproject.toml"
  echo "$state" >"$work/state"
fi
cd "$work/python"
export PYTHONDONTWRITEBYTECODE=1

"$tool/mutmut" run --max-children "${MUTATE_PROCESSES:-2}"
"$tool/mutmut" results | sed -n 's/^ *\(.*\): survived$/\1/p' | while read -r fault; do
  echo "$fault"
  "$tool/mutmut" show "$fault" | grep -E '^[-+]' | grep -Ev '^(---|\+\+\+)'
done
"$tool/mutmut" results | sed -n 's/^ *\(.*\): no tests$/no test comes by \1/p'
