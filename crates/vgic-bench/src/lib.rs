//! Benchmarks beside other crates; see `benches/`.
