# An arm64 machine: the project's compiler and .venv, as `make test` has them. Sourced by ci/arm64.sh.
how="on this machine"
target=
python="$PWD/.venv/bin/python"

prepare() { :; }

build() { make .venv/.built .venv/.dev; }

# Which core it is: the one that was built for this CPU.
cores() { "$python" -c 'import vgic._core as core; print("in place" if core.ATOMICS_IN_PLACE else "by calls")'; }
