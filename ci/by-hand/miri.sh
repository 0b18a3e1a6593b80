#!/usr/bin/env bash
# Runs under Miri what it can run: the engine on the counting platform, and RCU, objects and the XArray of the native one.
# Miri sees undefined behaviour that tests pass over: a use of freed memory, a data race, a wrong alias.
#
# By hand, as it takes long and needs a nightly compiler (rustup gets it). Arguments go to the test binaries:
#   ci/by-hand/miri.sh readers_never_see_freed_memory
set -euo pipefail
cd "$(dirname "$0")/../.."

toolchain="${VGIC_MIRI_TOOLCHAIN:-nightly}"
if ! cargo "+$toolchain" miri --version >/dev/null 2>&1; then
  rustup toolchain install "$toolchain" --profile minimal --component miri --component rust-src
fi
# Threads of the native platform sleep and look at the clock; objects live in leaked memory on purpose where a design leaks.
export MIRIFLAGS="${MIRIFLAGS:--Zmiri-disable-isolation -Zmiri-ignore-leaks}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/miri"

run() { echo "== miri: $1 $3"; cargo "+$toolchain" miri test --quiet -p "$1" "$2" "$3" -- "${@:4}"; }
for test in guard refcount; do
  run vgic-core --test "$test" "$@"
done
for test in rcu call_rcu objects quarantine xarray; do
  run vgic-native --test "$test" "$@"
done
