#!/usr/bin/env bash
# Python sources type-check, strictly.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/mypy --no-error-summary
