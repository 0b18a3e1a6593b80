#!/usr/bin/env bash
# The package under a free-threaded Python, which has no GIL: a wheel for it is built and tried, and the tests run.
#
# Debian has no package of such a Python, and PyPI none either, so it is compiled from Debian's source of python3.14, or
# from the archive of CPython's source that CPYTHON names; FREE_THREADED names an interpreter that is there. What is
# downloaded and built stays in target/free-threaded; remove it to begin afresh. Arguments are pytest's (default: the
# tests of the package itself). Tests that need packages without a wheel for it are left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$PWD/target/free-threaded"
python="${FREE_THREADED:-$work/bin/python3.14t}"

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
for header in zlib.h:zlib1g-dev lzma.h:liblzma-dev openssl/ssl.h:libssl-dev ffi.h:libffi-dev; do
  echo "#include <${header%:*}>" | cc -E - >/dev/null 2>&1 || missing+=("${header#*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  ci/runner/apt-install "${missing[@]}"
fi

# apt with lists of its own: the machine's know other sources.
download() {
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  cat >"$work/apt.conf" <<CONF
APT::Sandbox::User "root";
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "$work/none";
CONF
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(ci/runner/debian-mirror) sid main" \
    >"$work/sources.list"
  export APT_CONFIG="$work/apt.conf"
  apt-get -qq -o Debug::NoLocking=1 update
  (cd "$work" && apt-get -qq -o Debug::NoLocking=1 source --download-only --tar-only python3.14)
}

if [ ! -x "$python" ]; then
  mkdir -p "$work/source"
  if [ -z "${CPYTHON:-}" ]; then
    (download)
    CPYTHON="$(echo "$work"/python3.14_*.orig.tar.xz)"
  fi
  tar --extract --directory "$work/source" --strip-components=1 --file "$CPYTHON"
  (
    cd "$work/source"
    ./configure --quiet --disable-gil --prefix="$work" >"$work/configure.log" 2>&1
    make -j"$(nproc)" >"$work/make.log" 2>&1
    make install >"$work/install.log" 2>&1
  )
  rm -rf "$work"/{source,lists,cache}
fi

make --no-print-directory .venv/dev.txt
rm -rf "$work/wheels" "$work/venv"
make --no-print-directory wheel WHEEL_PROFILE=release WHEEL_FLAGS="--interpreter $python" WHEELS="$work/wheels"
FREE_THREADED="$python" ci/wheels.sh "$work"/wheels/*.whl

"$python" -m venv "$work/venv"
grep -vE '^(distributed|mypy|ruff|unicorn)\b' .venv/dev.txt >"$work/needed.txt"
"$work/venv/bin/pip" install --quiet --only-binary :all: -r "$work/needed.txt" "$work"/wheels/*.whl
if [ "$#" -eq 0 ]; then
  set -- tests/unit tests/contract tests/property tests/hostile tests/cli
fi
# Off, whatever a test imports: that vgic itself does not bring the GIL back is seen by ci/runner/smoke.py.
PYTHON_GIL=0 "$work/venv/bin/python" -m pytest -p no:cacheprovider -n auto --dist worksteal "$@"
