#!/usr/bin/env bash
# The Rust tests and two minutes of torture under ThreadSanitizer. Minutes long; not part of lint.
set -euo pipefail
cd "$(dirname "$0")/../.."
# vgic_tsan: TSan does not see fences; see crates/vgic-native/src/atomics.rs.
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg vgic_tsan"
target_dir="${CARGO_TARGET_DIR:-target}/tsan"
. ci/sanitizers/common.sh
# The locks of the standard library, too: what they order, TSan has to see. (`rustup component add rust-src`.)
[ -d "$(rustc --print sysroot)/lib/rustlib/src/rust" ] || rustup component add rust-src
build_std=(-Zbuild-std)
export TSAN_OPTIONS="suppressions=$PWD/ci/sanitizers/tsan.supp:${TSAN_OPTIONS:-}"
# TSan has no threads in a child of `fork`.
[ "${1:-}" = torture ] || under_sanitizer -- --skip a_child_works_whenever_the_fork_came
torture
