#!/usr/bin/env bash
# Each CVE, commit, posting and manual that README.md and docs/ name is a link (docs/link_references.py).
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python docs/link_references.py --check
