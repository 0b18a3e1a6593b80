#!/usr/bin/env bash
# No warnings from clippy.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
export PYO3_PYTHON="$PWD/.venv/bin/python"
cargo clippy --workspace --all-targets --quiet -- -D warnings
