//! The Python module `vgic._core`: conversions, releasing the interpreter lock, Ctrl-C. No logic.
#![allow(missing_docs)] // What Python sees is documented in `_core.pyi` and in the package.

mod arguments;
mod catalogue;
mod errors;
mod machine;
mod memory;
mod pool;
mod predict;
mod prove;
mod runs;
mod told;
mod torture;
mod translater;
mod vm;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    m.add("ATOMICS_IN_PLACE", vgic_native::ATOMICS_IN_PLACE)?;
    m.add("DEFAULT_DESIGN", "v7.3")?;
    m.add("BASELINE_DESIGN", "v6.8-rc1")?;
    m.add("CommandError", m.py().get_type::<errors::CommandError>())?;
    m.add_class::<memory::GuestMemory>()?;
    m.add_class::<translater::Translater>()?;
    m.add_class::<vm::Vm>()?;
    catalogue::add(m)?;
    runs::add(m)?;
    torture::add(m)?;
    prove::add(m)?;
    machine::add(m)?;
    predict::add(m)?;
    Ok(())
}
