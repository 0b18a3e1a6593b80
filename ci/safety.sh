#!/usr/bin/env bash
# Every unsafe block names a rule of SAFETY.md, and every rule there is used.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python docs/check_ids.py safety
