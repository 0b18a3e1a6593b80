#!/usr/bin/env bash
# The project works on arm64: the package is built, and its tests and commands run. Without arguments, a choice of them
# (minutes); with --all, every test, and a table of what was run (an hour or more).
#
# On an arm64 machine all of it runs there, with the project's own compiler and .venv (ci/arm64/native.sh). On an x86-64
# machine with Debian it is cross-built and run under qemu-user (ci/arm64/cross.sh), which shows that the code is right
# for the architecture, but nothing of memory orders: docs/explain/measuring.md. What is downloaded and built stays in
# target/arm64, with a log of each step; remove it to begin afresh.
set -euo pipefail
cd "$(dirname "$0")/.."

all=
case "$*" in
  "") ;;
  --all) all=1 ;;
  *) echo "usage: ci/arm64.sh [--all]" >&2; exit 2 ;;
esac

work="$PWD/target/arm64"
logs="$work/logs"
rm -rf "$logs"
mkdir -p "$logs"
failed=0
rows=()

. ci/arm64/summary.sh

# step WHAT COMMAND...: runs it with its output in a log, and prints a line: how long it took by the clock and on all
# CPUs together, which a busy machine does not lengthen. Call it plainly: in an `if` or before `||` bash would ignore
# `set -e` in the command, too.
TIMEFORMAT='%0R %0U %0S'
step() {
  local what="$1" log status wall user system times result note
  log="$logs/$(printf '%02d' "$((${#rows[@]} + 1))")-${what//[ \/]/-}.log"
  shift
  set +e
  times="$({ time { (set -e; "$@") >"$log" 2>&1 </dev/null; }; } 2>&1)"
  status="$?"
  set -e
  read -r wall user system <<<"$times"
  note="$(summary "$log")"
  result=ok
  [ "$status" -eq 0 ] || result=FAILED
  rows+=("| $what | $wall s | $((user + system)) s | $result${note:+: $note} |")
  printf '%6d s (CPU %5d s)  %-6s  %s%s\n' "$wall" "$((user + system))" "$result" "$what" "${note:+ ($note)}"
  if [ "$status" -ne 0 ]; then
    failed=1
    echo "--- the end of $log (exit status $status)"
    tail -n 40 "$log"
    echo "---"
  fi
}

# A step without which the others make no sense.
first() {
  step "$@"
  [ "$failed" -eq 0 ] || finish
}

# Says what was run, and ends with the status of it all.
finish() {
  if [ -n "$all" ]; then
    printf '\n| what (%s) | wall time | CPU time | result |\n|---|---|---|---|\n' "$how"
    printf '%s\n' "${rows[@]}"
  fi
  exit "$failed"
}

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
  ci/runner/apt-install "${missing[@]}"
fi

# Each of the two has `how`, `target` (for cargo; empty: its own), `python`, `prepare`, `build` and `cores`.
case "$(uname -m)" in
  aarch64) . ci/arm64/native.sh ;;
  x86_64) . ci/arm64/cross.sh ;;
  *) echo "ci/arm64.sh: $(uname -m) is neither arm64 nor x86-64" >&2; exit 2 ;;
esac

rust_tests() {
  cargo --config "target.'cfg(all())'.runner='ci/runner/with-timeout'" test ${target:+--target "$target"} \
    --no-fail-fast --quiet "$@"
}
vgic() { timeout --kill-after=10s 30m "$python" -m vgic "$@"; }
prove_one() {
  local said
  said="$(vgic prove --design v6.10 --scenario send_vs_discard --preemptions 1 --seconds 1200)"
  echo "$said"
  # A search that was cut short finds nothing, either.
  [[ "$said" == *"proved to 1"* ]]
}
python_tests() { "$python" -m pytest -p no:cacheprovider "$@"; }

echo "arm64: $how"
prepare
first "wheel" build
step "the core for this CPU" cores

if [ -z "$all" ]; then
  step "tests of vgic-core, vgic-native" rust_tests -p vgic-core -p vgic-native
  step "contract tests of three designs" \
    python_tests -n auto --dist worksteal tests/contract -k "(v6.8-rc1 or v6.10 or v7.3) and not (1-more or 8-more)"
else
  packages=()
  for manifest in crates/*/Cargo.toml; do
    package="$(basename "$(dirname "$manifest")")"
    # The Python module has no Rust tests, and the benchmarks are none.
    case "$package" in vgic-py | vgic-bench) ;; *) packages+=("$package") ;; esac
  done
  step "build of the Rust tests" rust_tests --no-run "${packages[@]/#/--package=}"
  for package in "${packages[@]}"; do
    step "tests of $package" rust_tests -p "$package"
  done
  for folder in tests/*/; do
    folder="${folder%/}"
    if compgen -G "$folder/test_*.py" >/dev/null; then
      step "$folder" python_tests -n auto --dist worksteal "$folder"
    fi
  done
fi
step "vgic compare --quick" vgic compare --quick --output "$work/compare"
step "vgic predict as docs/guide/predict.md shows it" \
  python_tests tests/docs/test_quoted_predictions.py -k a_prediction_is_what_its_command_prints
step "vgic prove, one scenario to its end" prove_one
step "vgic torture, 12 seconds" vgic torture --minutes 0.2
finish
