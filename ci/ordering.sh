#!/usr/bin/env bash
# Every memory order that the code names is argued in ORDERING.md, and the other way round.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python docs/check_ids.py ordering
