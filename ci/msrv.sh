#!/usr/bin/env bash
# The code compiles with the oldest Rust that Cargo.toml promises. Skipped where rustup is not there to bring it.
set -euo pipefail
cd "$(dirname "$0")/.."
version="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)"
if ! command -v rustup >/dev/null; then
  echo "msrv: no rustup: Rust $version is not tried" >&2
  exit 0
fi
rustup run "$version" rustc --version >/dev/null 2>&1 || rustup toolchain install --profile minimal "$version" >/dev/null 2>&1 || {
  echo "msrv: Rust $version cannot be had here: not tried" >&2
  exit 0
}
export PYO3_PYTHON="$PWD/.venv/bin/python"
CARGO_TARGET_DIR=target/msrv cargo "+$version" check --workspace --all-targets --quiet
