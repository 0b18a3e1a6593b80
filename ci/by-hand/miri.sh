#!/usr/bin/env bash
# Runs under Miri what it can run in minutes: guards and counts of the engine on the counting platform; RCU, locks, objects,
# the XArray and a small guest on the native one (crates/vgic-native/tests/small.rs; its other tests are too long for Miri).
# Miri sees undefined behaviour that tests pass over: a use of freed memory, a data race, a wrong alias.
#
# By hand, as it takes long and needs a nightly compiler (rustup gets it). Arguments go to the test binaries:
#   ci/by-hand/miri.sh a_small_guest_lives_and_dies
set -euo pipefail
cd "$(dirname "$0")/../.."

toolchain="${VGIC_MIRI_TOOLCHAIN:-nightly}"
if ! cargo "+$toolchain" miri --version >/dev/null 2>&1; then
  rustup toolchain install "$toolchain" --profile minimal --component miri --component rust-src
fi
# Threads of the native platform sleep and look at the clock; objects live in leaked memory on purpose where a design leaks.
# parking_lot makes pointers of integers.
export MIRIFLAGS="${MIRIFLAGS:--Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-permissive-provenance}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"

run() {
  echo "== miri: $1 $2"
  cargo "+$toolchain" miri test --quiet -p "$1" --test "$2" -- "${@:3}"
}
run vgic-core guard "$@"
run vgic-core refcount "$@"
run vgic-native small "$@"
run vgic-native objects "$@"
