# An x86-64 machine with Debian: cross-building, and qemu-user to run what was built. Sourced by ci/arm64.sh.
#
# The project's compiler comes with the standard library of its own machine only, so Debian's is taken, whose library
# for arm64 is a package. No package is installed: all are downloaded by an apt with lists and a cache of its own, from
# the machine's sources, and unpacked into one folder, where amd64 and arm64 keep apart as on any Debian ("multiarch").
# So the machine's compiler and its dpkg stay as they are: Debian's rustc would not let another one stay. What is installed
# already is downloaded all the same, but for the C library, of which a process has one.
how="cross-built, under qemu-user"
target=aarch64-unknown-linux-gnu
root="$work/root"
bin="$work/bin"
site="$work/site"
python="$bin/python"

cross_apt() {
  local tool="$1"
  shift
  APT_CONFIG="$work/apt/apt.conf" "$tool" -qq -o Debug::NoLocking=1 "$@"
}

# The suffix of the newest rustc that there is: `-web` for rustc-web, which follows the browsers, nothing for rustc.
newest_rustc() {
  cross_apt apt-cache search --names-only '^rustc(-[a-z0-9.]+)?$' | cut -d' ' -f1 \
    | xargs env APT_CONFIG="$work/apt/apt.conf" apt-cache show --no-all-versions \
    | awk '/^Package:/ { name = $2 } /^Version:/ { print $2, name }' | sort -V | sed -n '$s/.* rustc//p'
}

download() {
  local apt="$work/apt" suffix library
  rm -rf "$apt"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/no-status"
  cat >"$apt/apt.conf" <<CONF
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Dir::State::status "$apt/no-status";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
CONF
  cross_apt apt-get update || echo "not every source could be read"
  suffix="$(newest_rustc)"
  library="$(cross_apt apt-cache depends "rustc$suffix" | sed -n 's/.*Depends: \(libstd-rust-.*dev\)$/\1/p')"
  cross_apt apt-get -y --download-only install "rustc$suffix" "cargo$suffix" gcc-aarch64-linux-gnu \
    libc6-dev-arm64-cross qemu-user-static python3:arm64 libstdc++6:arm64
  # Without what it depends on: the compiler for arm64, which does not run here.
  (cd "$apt/cache/archives" && cross_apt apt-get download "$library:arm64")
}

# Without documentation and the emulators of other machines, a quarter of it all.
unpack() {
  local package
  rm -rf "$root" "$root.part"
  mkdir "$root.part"
  for package in "$work"/apt/cache/archives/*.deb; do
    case "$package" in */libc6_*_amd64.deb) continue ;; esac
    dpkg --fsys-tarfile "$package" | tar --extract --directory "$root.part" --wildcards \
      --exclude=./usr/share --exclude='./usr/bin/qemu-[!a]*'
  done
  # Whole now; a run that was stopped before begins again.
  mv "$root.part" "$root"
  rm -rf "$work/apt"
}

# wrap NAME COMMAND...: a command of that name, with the unpacked libraries.
wrap() {
  local name="$1"
  shift
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %s "$@"\n' "$root/usr/lib/x86_64-linux-gnu" "$(printf '%q ' "$@")" \
    >"$bin/$name"
  chmod +x "$bin/$name"
}

wrappers() {
  local tool
  mkdir -p "$bin"
  for tool in cargo rustc rustdoc; do
    wrap "$tool" "$root/usr/bin/$tool"
  done
  # By the name rustc knows how to call it.
  wrap aarch64-linux-gnu-gcc "$root/usr/bin/aarch64-linux-gnu-gcc" --sysroot="$root"
  # Statically linked, and what it runs should not see the folder of other libraries.
  printf '#!/bin/sh\nexec %q -L %q "$@"\n' "$root/usr/bin/qemu-aarch64-static" "$root" >"$bin/emulate"
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$bin/emulate" "$(echo "$root"/usr/bin/python3.[0-9]*[0-9])" >"$python"
  chmod +x "$bin/emulate" "$python"
  # Python finds its packages, and starts others of its kind by the emulator.
  printf '%s\nimport sys; sys.executable = sys._base_executable = "%s"\n' "$site" "$python" \
    >"$root/usr/lib/python3/dist-packages/arm64.pth"
}

prepare() {
  if [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ]; then
    echo "ci/arm64.sh: cross-building takes Debian's packages: it needs Debian on x86-64" >&2
    exit 1
  fi
  if [ ! -e "$root" ]; then
    first "download of compilers, emulator, Python" download
    first "unpacking" unpack
  fi
  wrappers
  unset CARGO RUSTC RUSTDOC RUSTFLAGS RUSTDOCFLAGS RUSTUP_TOOLCHAIN
  export PATH="$bin:$PATH"
  export CARGO_TARGET_DIR="$work/target" CARGO_PROFILE_TEST_DEBUG=0
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$bin/aarch64-linux-gnu-gcc"
  export VGIC_TEST_UNDER="$bin/emulate"
}

# The version of the Python that was unpacked: 3.11.
python_version() { basename "$root"/usr/bin/python3.[0-9]*[0-9] | sed 's/python//'; }

# pip for the other Python: what has no wheel for arm64 is an error.
pip_arm64() {
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$site" --only-binary=:all: \
    --implementation cp --python-version "$(python_version)" \
    --platform=linux_aarch64 --platform=manylinux2014_aarch64 --platform=manylinux_2_{17..36}_aarch64 "$@"
}

build() {
  local needed=.venv/dev.txt
  make .venv/.tools "$needed"
  if ! cmp -s "$needed" "$site/needed.txt"; then
    rm -rf "$site"
    pip_arm64 -r "$needed"
    cp "$needed" "$site/needed.txt"
  fi
  rm -rf "$work/wheels" "$site"/{bin,vgic} "$site"/vgic-*.dist-info
  PYO3_CROSS_PYTHON_VERSION="$(python_version)" make wheel WHEEL_PROFILE=release WHEEL_TARGET="$target" \
    WHEEL_FLAGS="--compatibility linux" WHEELS="$work/wheels"
  pip_arm64 --no-deps "$work"/wheels/*.whl
}

# A wheel has two cores. Each is taken by the CPU that it is for, and works: one with LSE and LRCPC, and the first of all.
cores() {
  local program='
import sys, vgic
from vgic import _core
assert vgic._core is _core and _core.ATOMICS_IN_PLACE == (sys.argv[1] == "in-place"), _core.__file__
load = vgic.StressWorkload(vcpus=2, devices=2, events=16, seconds=0.1)
assert vgic.run(load, "v7.1.8").rate > 0
print(_core.__file__)'
  "$python" -c "$program" in-place
  QEMU_CPU=cortex-a53 "$python" -c "$program" by-calls
  VGIC_CORE=generic "$python" -c "$program" by-calls
}
