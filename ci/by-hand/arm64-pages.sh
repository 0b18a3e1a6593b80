#!/usr/bin/env bash
# The project works where pages are larger than 4 KiB: a part of its arm64 tests on pages of 16 KiB and 64 KiB.
#
#   16 KiB  on a kernel of that kind, Debian's newest stable one, in an emulated machine (qemu-system-aarch64). All that
#           the tests need is in its initramfs; nothing of it touches this machine.
#   64 KiB  under qemu-user that tells programs so (QEMU_PAGESIZE): Debian has no such kernel. It rounds what is mapped
#           and protected to such pages, as that kernel would.
#
# Needs an x86-64 machine with Debian, as ci/arm64.sh does, whose target/arm64 it shares. An hour with what is to be
# built. Arguments choose some of the sizes; the table is of those.
#   ci/by-hand/arm64-pages.sh 16384
set -euo pipefail
cd "$(dirname "$0")/../.."

work="$PWD/target/arm64"
pages="$work/pages"
logs="$pages/logs"
mkdir -p "$logs"
# What a step of ci/arm64.sh is there.
first() {
  echo "$1"
  shift
  "$@"
}
. ci/arm64/summary.sh
. ci/arm64/cross.sh

# Those whose stacks, guard pages and mappings are their own, with what cargo is told besides. The simulator and the
# checker have a stack of the same library for each thread: some of their tests will do.
crates=(vgic-core vgic-native "vgic-sim --test platform" "vgic-check --test catalogue")

# The steps, for a shell here and one on that kernel: what, and its command. PAGE is the size of a page, TESTS the folder
# of test binaries by crate, RUN what runs them, PYTHON the interpreter.
steps() {
  local crate
  cat <<'STEPS'
page size|"$PYTHON" -c 'import os, sys; sys.exit(os.sysconf("SC_PAGE_SIZE") != int(sys.argv[1]))' "$PAGE"
STEPS
  for crate in "${crates[@]%% *}"; do
    echo "tests of $crate|cd crates/$crate && for test in \"\$TESTS\"/$crate/*; do \$RUN \"\$test\" --quiet || failed=1; done; exit \$failed"
  done
  cat <<'STEPS'
tests of memory, dumps and the machine|"$PYTHON" -m pytest -p no:cacheprovider tests/unit/test_memory.py tests/unit/test_host.py tests/cli/test_its_decode.py
contract tests of one design|"$PYTHON" -m pytest -p no:cacheprovider tests/contract -k "v7.3 and not (1-more or 8-more)"
vgic predict as docs/guide/predict.md shows it|"$PYTHON" -m pytest -p no:cacheprovider tests/docs/test_quoted_predictions.py -k a_prediction_is_what_its_command_prints
vgic prove, one scenario to its end|said="$("$PYTHON" -m vgic prove --design v6.10 --scenario send_vs_discard --preemptions 1 --seconds 3000)"; echo "$said"; echo "$said" | grep -q "proved to 1"
vgic torture, 12 seconds|"$PYTHON" -m vgic torture --minutes 0.2
STEPS
}

# Says what runs each step, `here` or the kernel's init: its log goes between two marks that tell its status and time.
runner() {
  cat <<'RUNNER'
while IFS='|' read -r what command; do
  echo "=== begin $what"
  begun="$(date +%s)"
  # Not to a terminal, which the console of a machine is: no colours.
  (set -o pipefail; (failed=0; eval "$command") </dev/null 2>&1 | cat)
  echo "=== end $? $(($(date +%s) - begun))"
done
echo "=== all"
RUNNER
}

# Test binaries into $pages/tests/CRATE, as cargo names them.
rust_tests() {
  local words crate file
  rm -rf "$pages/tests"
  for words in "${crates[@]}"; do
    crate="${words%% *}"
    mkdir -p "$pages/tests/$crate"
    # shellcheck disable=SC2086
    cargo test --target "$target" --no-run --quiet --message-format=json -p $words \
      | python3 -c 'import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("profile", {}).get("test") and built.get("executable"):
        print(built["executable"])' >"$pages/built"
    while read -r file; do
      cp "$file" "$pages/tests/$crate/"
    done <"$pages/built"
  done
}

# Whatever is loaded has to lie so that pages of 64 KiB can be mapped.
aligned() {
  local file bad=0
  for file in "$pages"/tests/*/* "$site"/vgic/*.so "$site"/vgic/*/*.so; do
    if LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/aarch64-linux-gnu-readelf" --wide \
      --program-headers "$file" | awk '$1 == "LOAD" && $NF !~ /^0x[1-9a-f][0-9a-f]*0000$/ { bad = 1 } END { exit !bad }'
    then
      echo "$file has a segment that is aligned to less than 64 KiB" >&2
      bad=1
    fi
  done
  return "$bad"
}

# Debian's newest stable kernel with pages of 16 KiB, and a shell for its init, by an apt of their own as in
# ci/arm64/cross.sh. The package that holds the image is called linux-binary-VERSION where that is split, else linux-image.
kernel() {
  local apt="$pages/apt" mirror name
  rm -rf "$apt"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/no-status"
  mirror="$(ci/runner/debian-mirror)"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror stable main" >"$apt/sources.list"
  cat >"$apt/apt.conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
Dir::State::status "$apt/no-status";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
CONF
  export APT_CONFIG="$apt/apt.conf"
  apt-get -qq -o Debug::NoLocking=1 update
  for kind in binary image; do
    name="$(apt-cache search --names-only "^linux-$kind-[0-9].*-arm64-16k$" | cut -d' ' -f1 | sort -V | tail -n 1)"
    [ -z "$name" ] || break
  done
  [ -n "$name" ] || { echo "arm64-pages.sh: no kernel with pages of 16 KiB in $mirror" >&2; return 1; }
  (cd "$apt" && apt-get -qq download "$name" busybox-static)
  unset APT_CONFIG
  rm -rf "$pages/kernel"
  mkdir "$pages/kernel"
  dpkg --fsys-tarfile "$apt/$name"_*.deb | tar --extract --directory "$pages/kernel" --wildcards '*/vmlinuz*'
  dpkg --fsys-tarfile "$apt"/busybox-static_*.deb | tar --extract --directory "$pages/kernel" --wildcards '*/busybox'
  find "$pages/kernel" -type f -name 'vmlinuz*' -exec mv {} "$pages/image" \;
  find "$pages/kernel" -type f -name busybox -exec mv {} "$pages/busybox" \;
  rm -rf "$pages/kernel" "$apt"
}

# The initramfs: libraries and Python as they were unpacked, the packages that the tests use, the project at the path
# it was built at (Rust's tests know it), test binaries, and an init that runs the steps.
initramfs() {
  local tree="$pages/tree" name
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,dev,proc,sys,tmp,site,usr/bin,usr/lib} "$tree$PWD"
  cp "$pages/busybox" "$tree/bin/"
  cp -a "$root/lib" "$tree/"
  cp -a "$root"/usr/lib/{aarch64-linux-gnu,python3,python3.[0-9]*} "$tree/usr/lib/"
  rm -rf "$tree/lib/x86_64-linux-gnu" "$tree/usr/lib/python3/dist-packages/arm64.pth"
  cp "$root"/usr/bin/python3.[0-9]*[0-9] "$tree/bin/python"
  for name in "$site"/*; do
    # Large, and of no use to these tests.
    case "${name##*/}" in *mypy* | ruff* | dask* | distributed* | unicorn* | bin | needed.txt) continue ;; esac
    cp -a "$name" "$tree/site/"
  done
  git ls-files -z tests docs crates README.md BENCHMARKS.md CHANGELOG.md Cargo.toml pyproject.toml \
    | xargs -0 cp --parents --target-directory "$tree$PWD"
  cp -a "$pages/tests" "$tree/tests"
  steps >"$tree/steps"
  runner >"$tree/runner"
  cat >"$tree/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/shm /dev/pts
mount -t devpts none /dev/pts
ln -s /proc/self/fd /dev/fd
mount -t tmpfs none /tmp
mount -t tmpfs none /dev/shm
export PATH=/bin HOME=/tmp COLUMNS=120 PAGE=16384 TESTS=/tests RUN= PYTHON=/bin/python PYTHONPATH=/site
echo "=== kernel \$(uname -r), pages of \$(python -c 'import os; print(os.sysconf("SC_PAGE_SIZE"))') bytes"
cd $PWD
. /runner </steps
poweroff -f
INIT
  chmod +x "$tree/init"
  (cd "$tree" && find . | cpio --quiet --create --format=newc --owner=0:0) >"$pages/initramfs"
  rm -rf "$tree"
}

# Runs the steps in a machine with the kernel; its console's output.
machine() {
  timeout 4h qemu-system-aarch64 -M virt,gic-version=3 -cpu max,pauth-impdef=on -smp "$(nproc)" -m 4G \
    -accel tcg,thread=multi -nographic -nic none -no-reboot -kernel "$pages/image" -initrd "$pages/initramfs" \
    -append "console=ttyAMA0 panic=-1 loglevel=4" </dev/null | sed -u 's/\r$//'
}

# Runs the steps here, with programs told that pages have that size. Without backtraces: Rust's reads the program by mmap,
# and under such a QEMU (7.2) even a program of one line that panics dies of it.
here() {
  steps | RUST_BACKTRACE=0 PAGE="$1" QEMU_PAGESIZE="$1" TESTS="$pages/tests" RUN="$bin/emulate" PYTHON="$python" COLUMNS=120 \
    bash -c "$(runner)"
}

# A row of the table for each step of an output, whose logs are kept; not all of them good is status 1.
rows() {
  local size="$1" how="$2" line what status seconds log number=0 failed=0 all=0
  while IFS= read -r line; do
    case "$line" in
      "=== kernel "*) echo "${line#=== }" >&2 ;;
      "=== begin "*)
        what="${line#=== begin }"
        number=$((number + 1))
        log="$logs/$size-$(printf '%02d' "$number")-${what//[ \/]/-}.log"
        : >"$log"
        ;;
      "=== end "*)
        read -r status seconds <<<"${line#=== end }"
        [ "$status" -eq 0 ] && result=ok || { result=FAILED; failed=1; }
        note="$(summary "$log")"
        echo "| $((size / 1024)) KiB, $how | $what | $seconds s | $result${note:+: $note} |"
        log=
        ;;
      "=== all") all=1 ;;
      *) [ -z "${log:-}" ] || echo "$line" >>"$log" ;;
    esac
  done
  [ "$all" -eq 1 ] || { echo "arm64-pages.sh: it ended before the last step; see $logs" >&2; failed=1; }
  return "$failed"
}

sizes=("$@")
[ "$#" -gt 0 ] || sizes=(16384 65536)
for size in "${sizes[@]}"; do
  case "$size" in
    16384 | 65536) ;;
    *) echo "usage: ci/by-hand/arm64-pages.sh [16384] [65536]" >&2; exit 2 ;;
  esac
done
missing=()
command -v cpio >/dev/null || missing+=(cpio)
command -v qemu-system-aarch64 >/dev/null || missing+=(qemu-system-arm)
[ "${#missing[@]}" -eq 0 ] || { echo "arm64-pages.sh: needs apt-get install ${missing[*]}" >&2; exit 1; }

prepare
first "wheel" build
first "Rust tests" rust_tests
first "alignment of segments" aligned
printf '\n| pages | what | time | result |\n|---|---|---|---|\n' >"$pages/table.md"
status=0
for size in "${sizes[@]}"; do
  echo "pages of $size bytes"
  case "$size" in
    16384)
      [ -e "$pages/image" ] || first "kernel" kernel
      first "initramfs" initramfs
      machine | rows "$size" "a kernel" | tee -a "$pages/table.md" || status=1
      ;;
    65536) here "$size" | rows "$size" "qemu-user" | tee -a "$pages/table.md" || status=1 ;;
  esac
done
cat "$pages/table.md"
exit "$status"
