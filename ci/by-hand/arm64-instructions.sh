#!/usr/bin/env bash
# How many arm64 instructions a send takes: benches/arm64_instructions.json, beside which BENCHMARKS.md puts real kernels.
#
# Cross-builds the counting program as the two cores of a wheel are built, for all CPUs and for those with LSE, and lets
# benches/count_arm64.py run both under qemu-user. Needs an x86-64 machine with Debian, as ci/arm64.sh does, whose
# target/arm64 it shares. Ten minutes to build, five to count.
set -euo pipefail
cd "$(dirname "$0")/../.."

work="$PWD/target/arm64"
mkdir -p "$work"
# What a step of ci/arm64.sh is there.
first() {
  echo "$1"
  shift
  "$@"
}
. ci/arm64/cross.sh
prepare

# program NAME RUSTFLAGS: what is not counted, the checker, is built as quickly as may be.
program() {
  echo "building: $1"
  CARGO_TARGET_DIR="$work/instructions/$1" RUSTFLAGS="$2" cargo build --quiet --release --target "$target" \
    -p vgic-lab --bin vgic-instructions --config profile.release.package.vgic-check.opt-level=0
}
program generic ""
program lse "$(sed -n 's/^LSE := //p' Makefile)"

echo "counting"
programs="$work/instructions"
python3 benches/count_arm64.py --emulator "$root/usr/bin/qemu-aarch64-static" --root "$root" \
  --compiler "$bin/aarch64-linux-gnu-gcc" --rustc "$(rustc --version)" \
  --generic "$programs/generic/$target/release/vgic-instructions" \
  --lse "$programs/lse/$target/release/vgic-instructions" --output benches/arm64_instructions.json
