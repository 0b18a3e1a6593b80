#!/usr/bin/env bash
# What would be published can be: its descriptions are right, its libraries need what its name promises, and it installs
# and works in an empty environment; a wheel without cargo, an sdist with it.
#
# Without arguments, a wheel of what `make build` has compiled and an sdist are tried. `make wheels` names its own.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory .venv/.release

if [ "$#" -eq 0 ]; then
  rm -rf target/wheels
  make --no-print-directory wheel WHEEL_PROFILE=release WHEEL_TARGET= WHEELS=target/wheels
  make --no-print-directory sdist WHEELS=target/wheels
  set -- target/wheels/*
fi

# works PYTHON FILE: installs a file in an empty environment of that Python, and uses it.
works() {
  local room="$PWD/target/smoke"
  rm -rf "$room"
  "$1" -m venv "$room"
  case "$2" in
    # Programs of the environment alone: no compiler.
    *.whl) PATH="$room/bin" pip install --quiet --only-binary :all: "$2" ;;
    # A profile that compiles fast: it is about what is in the sdist.
    *) MATURIN_PEP517_ARGS="--profile dev" "$room/bin/pip" install --quiet "$2" ;;
  esac
  (cd "$room" && PATH="$room/bin" && python "$OLDPWD/ci/runner/smoke.py" && vgic --version >/dev/null \
    && vgic stress -v 1 -d 1 -e 16 -i 1000 --mode senders --design v7.3 >/dev/null \
    && vgic prove --design v6.10 --scenario send_vs_discard --preemptions 0 >/dev/null)
}

# promised FILE: the C library that a wheel needs is as old as its name says.
promised() {
  local said tag="${1%.whl}"
  tag="${tag##*[.-]}"
  said="$(.venv/bin/auditwheel show "$1" 2>&1)"
  grep -q "platform tag: \"$tag\"" <<<"${said//$'\n'/ }" || {
    printf 'wheels: auditwheel does not find %s in %s:\n%s\n' "$tag" "$1" "$said" >&2
    exit 1
  }
}

.venv/bin/twine --no-color check --strict "$@"
for file in "$@"; do
  case "$file" in *.whl) promised "$file" ;; esac
  case "$file" in *-abi3-*) .venv/bin/abi3audit --strict "$file" ;; esac
  case "$file" in
    *t-*_"$(uname -m)".whl) works "$FREE_THREADED" "$file" ;;
    *_"$(uname -m)".whl | *.tar.gz) works .venv/bin/python "$file" ;;
    *) echo "$file: for another machine, not installed" && continue ;;
  esac
  echo "$file: works"
done
