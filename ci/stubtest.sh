#!/usr/bin/env bash
# The stub of the Rust module says what the built module is.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed=()
[ -e ci/stubtest-allowlist.txt ] && allowed=(--allowlist ci/stubtest-allowlist.txt)
MYPYPATH=python .venv/bin/python -m mypy.stubtest --concise "${allowed[@]}" vgic._core
