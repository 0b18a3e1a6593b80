# An arm64 machine: the project's compiler and .venv, as `make test` has them. Sourced by ci/arm64.sh.
how="on this machine"
python="$PWD/.venv/bin/python"

prepare() { :; }

build() { make .venv/.built .venv/.dev; }

cargo_test() {
  cargo --config "target.'cfg(all())'.runner='ci/runner/with-timeout'" test "$@"
}
