# What both scripts do: the Rust tests, then torture, under a sanitizer. Sourced by them.
#
# Sanitizers are unstable compiler flags; RUSTC_BOOTSTRAP allows them on the stable compiler. The standard library stays
# as it is delivered, without instrumentation, unless `build_std` says otherwise.
build_std=()
export RUSTC_BOOTSTRAP=1
export PYO3_PYTHON="$PWD/.venv/bin/python"
target="$(rustc -vV | sed -n 's/^host: //p')"

# What is built as a cdylib or runs a compiler is left out: the Python module, and the tests of documentation.
under_sanitizer() {
  cargo test "${build_std[@]}" --quiet --target "$target" --target-dir "$target_dir" \
    -p vgic-core -p vgic-native -p vgic-count -p vgic-lab --lib --bins --tests "$@"
}

# Of the designs that are named.
torture() {
  VGIC_TORTURE_SECONDS="${TORTURE_SECONDS:-20}" VGIC_TORTURE_DESIGNS="$1" \
    cargo test "${build_std[@]}" --quiet --target "$target" --target-dir "$target_dir" -p vgic-lab --test torture -- \
    --ignored --nocapture torture_as_the_environment_says
}
