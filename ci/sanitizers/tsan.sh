#!/usr/bin/env bash
# The Rust tests and three minutes of torture under ThreadSanitizer. Minutes long; not part of lint.
set -euo pipefail
cd "$(dirname "$0")/../.."
# vgic_tsan: TSan does not see fences; see crates/vgic-native/src/atomics.rs.
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg vgic_tsan"
target_dir="${CARGO_TARGET_DIR:-target}/tsan"
. ci/sanitizers/common.sh
# The locks of the standard library, too: what they order, TSan has to see. (`rustup component add rust-src`.)
[ -d "$(rustc --print sysroot)/lib/rustlib/src/rust" ] || rustup component add rust-src
build_std=(-Zbuild-std)
# TSan has no threads in a child of `fork`.
[ "${1:-}" = torture ] || under_sanitizer -- --skip a_child_works_whenever_the_fork_came
torture v6.8-rc1,patch-15,v6.10,v7.3,hardened,next-01,next-05
TSAN_OPTIONS="suppressions=$PWD/ci/sanitizers/tsan.supp:${TSAN_OPTIONS:-}" torture v6.17,v7.1.8
