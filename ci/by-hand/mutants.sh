#!/usr/bin/env bash
# Thousands of faults put into the engine and the simulator, and which ones no test notices: ci/by-hand/mutants.py, with the
# parser that it needs in a virtual environment of its own (target/mutants/venv). `--help` tells the options.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/mutants/venv
if [ ! -x "$venv/bin/python" ]; then
  mkdir -p target/mutants
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "tree-sitter>=0.26,<1" "tree-sitter-rust>=0.24,<1"
fi
exec "$venv/bin/python" ci/by-hand/mutants.py "$@"
