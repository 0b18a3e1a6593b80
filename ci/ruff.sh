#!/usr/bin/env bash
# Python sources are formatted and have no lint.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/ruff check --quiet .
.venv/bin/ruff format --quiet --check .
