#!/usr/bin/env bash
# The documentation builds as a site: every page has its place, every link and anchor leads somewhere, and no page loads
# anything from elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory site >/dev/null
.venv/bin/python ci/runner/loads.py target/site
# In the code of a table GitHub takes \| for |, and this generator leaves it as it is.
if grep -rl --include='*.html' '<td>.*<code>[^<]*\\|' target/site; then
  echo "site: a bar in a table's code" >&2
  exit 1
fi
test -s target/site/search/search_index.json
