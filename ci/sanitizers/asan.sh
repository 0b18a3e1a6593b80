#!/usr/bin/env bash
# The Rust tests and three minutes of torture under AddressSanitizer (with LeakSanitizer). Minutes long; not part of lint.
set -euo pipefail
cd "$(dirname "$0")/../.."
export RUSTFLAGS="-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer"
target_dir="${CARGO_TARGET_DIR:-target}/asan"
. ci/sanitizers/common.sh
# The tests of v6.17 leak (CVE-2026-74568), as that kernel did, so leaks are looked for by the tests themselves, which
# count live objects by class.
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"
[ "${1:-}" = torture ] || under_sanitizer
torture v6.8-rc1,patch-15,v6.10,v6.17,v7.1.8,v7.3,hardened,next-01,next-05
