#!/usr/bin/env bash
# The engine names no primitive: all that synchronises comes from the platform it is generic over.
set -euo pipefail
cd "$(dirname "$0")/.."
pattern='(std|core)::sync|(std|core)::time|std::thread|thread_local!|parking_lot|crossbeam|loom::|shuttle::'
found=0
while IFS= read -r -d '' file; do
  # Comments go, line by line; what is left is code.
  if hits="$(sed 's@//.*$@@' "$file" | grep -nE "$pattern")"; then
    while IFS= read -r hit; do echo "$file:$hit"; done <<<"$hits"
    found=1
  fi
done < <(find crates/vgic-core/src -name '*.rs' -print0)
# Tests run on a real platform; they live in tests/ of the crate, not in src/.
if [ "$found" -ne 0 ]; then
  echo "crates/vgic-core/src names a primitive (see above): use the platform's" >&2
  exit 1
fi
