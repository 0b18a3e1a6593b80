#!/usr/bin/env bash
# Changes the engine and the simulator a little, again and again, and says which changes no test notices.
#
# By hand, as all of it takes many hours. What has survived and why that is right is in ci/by-hand/survivors.md.
#   ci/by-hand/cargo-mutants.sh                                  everything
#   ci/by-hand/cargo-mutants.sh --diff main                      what differs from a branch or commit
#   ci/by-hand/cargo-mutants.sh --file crates/vgic-core/src/refcount.rs    one file; so any option of cargo-mutants
set -euo pipefail
cd "$(dirname "$0")/../.."

options=()
if [ "${1:-}" = --diff ]; then
  base="${2:?--diff needs a branch or a commit}"
  shift 2
  diff="$(mktemp)"
  trap 'rm -f "$diff"' EXIT
  git diff "$base" -- crates >"$diff"
  options+=(--in-diff "$diff")
fi

tools="$PWD/target/tools"
if [ ! -x "$tools/bin/cargo-mutants" ]; then
  cargo install --locked --root "$tools" --target-dir "$tools/build" cargo-mutants
fi
export PATH="$tools/bin:$PATH"

# The tests near the code; those of other crates find more, but take minutes for each mutant. A mutant may hang.
cargo mutants --package vgic-core --package vgic-sim --test-package vgic-core --test-package vgic-count --test-package vgic-sim \
  --timeout 120 --build-timeout 600 --output target/mutants --no-shuffle "${options[@]}" "$@" -- --lib --tests
