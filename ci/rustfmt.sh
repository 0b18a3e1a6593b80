#!/usr/bin/env bash
# Rust sources are formatted.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo fmt --all --check
