#!/usr/bin/env bash
# docs/reference/ is what docs/make_reference.py makes of the sources.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python docs/make_reference.py --check
