//! `designs`, `compose`, `axes`, `hit_path`, `path_counts`, `lock_order`: what the designs are.

use crate::arguments::{PathMapped, Whole};
use crate::errors;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::collections::BTreeSet;
use vgic_core::Design;
use vgic_core::designs::{AXES, Axis, Composed, ROWS, Row, row};
use vgic_count::{Kind, Step};

/// The locks that nest in a whole life of a guest, the outer before the inner.
fn lock_order(design: Composed) -> Vec<&'static str> {
    let mut nestings = vgic_count::lock_order(design);
    let mut order = Vec::new();
    let mut left: BTreeSet<_> = nestings.iter().flat_map(|(outer, inner)| [*outer, *inner]).collect();
    // Those inside no other come first; the engine's own test shows that no two nest both ways.
    while let Some(next) = left.iter().copied().find(|lock| nestings.iter().all(|(_, inner)| inner != lock)) {
        order.push(next);
        left.remove(next);
        nestings.retain(|(outer, _)| *outer != next);
    }
    order
}

fn design<'py>(py: Python<'py>, design: Composed, row: Option<&Row>) -> PyResult<Bound<'py, PyDict>> {
    let spec = design.spec();
    let dict = PyDict::new(py);
    dict.set_item("name", design.name())?;
    let base = design.name().split('+').next().unwrap_or_default();
    dict.set_item("based_on", row.map_or(base, |row| row.based_on))?;
    dict.set_item("changed", row.map_or("", |row| row.changed))?;
    dict.set_item("fixes", row.map_or("", |row| row.fixes))?;
    dict.set_item("defect", row.map_or("", |row| row.defect))?;
    dict.set_item("reference", row.map_or("", |row| row.reference))?;
    dict.set_item("unsound", spec.is_unsound())?;
    dict.set_item("control_races", spec.has_control_races())?;
    let axes = PyDict::new(py);
    for axis in AXES {
        if let Some(choice) = axis.of(spec) {
            axes.set_item(axis.name, choice.name)?;
        }
    }
    dict.set_item("axes", axes)?;
    Ok(dict)
}

/// Every shipped design.
#[pyfunction]
fn designs(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for row in ROWS {
        list.append(design(py, Composed::named(row.name), Some(row))?)?;
    }
    Ok(list)
}

fn found(name: &str) -> PyResult<Composed> {
    Composed::new(name).map_err(|error| errors::refused(error.into()))
}

/// A design as `v6.10+drain=put-erased` says.
#[pyfunction]
fn compose<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
    design(py, found(name)?, row(name))
}

/// A name, and what it is about.
type Told = (&'static str, &'static str);

/// What a design may be composed of: each axis, what it is about, and its ways.
#[pyfunction]
fn axes() -> Vec<(&'static str, &'static str, Vec<Told>)> {
    let ways = |axis: &Axis| axis.choices.iter().map(|choice| (choice.name, choice.about.trim())).collect();
    AXES.iter().map(|axis| (axis.name, axis.about.trim(), ways(axis))).collect()
}

/// The locks of a design, the outer before the inner.
#[pyfunction]
#[pyo3(name = "lock_order")]
fn lock_order_of(py: Python<'_>, design: &str) -> PyResult<Vec<&'static str>> {
    let design = found(design)?;
    Ok(py.detach(|| lock_order(design)))
}

/// The `PathStep.kind` and `PathStep.field` of a step.
fn kind_and_field(step: &Step) -> (&'static str, String) {
    let field = match step.index {
        Some(index) => format!("{}[{index}]", step.field),
        None => step.field.to_owned(),
    };
    match step.kind {
        kind if kind.takes_lock() => ("lock", field),
        kind if kind.releases_lock() => ("unlock", field),
        kind if kind.is_read() => ("read", field),
        kind if kind.is_write() => ("write", field),
        Kind::Rmw => ("rmw", field),
        Kind::RcuLock | Kind::RcuUnlock => ("rcu", step.kind.verb().to_owned()),
        Kind::SrcuLock | Kind::SrcuUnlock => ("srcu", step.kind.verb().to_owned()),
        Kind::Alloc => ("alloc", field),
        Kind::Free => ("free", field),
        Kind::Work(work) => ("work", format!("{work:?}")),
        _ => ("fence", step.kind.verb().to_owned()),
    }
}

#[pyfunction]
fn hit_path<'py>(py: Python<'py>, design: &str) -> PyResult<Bound<'py, PyList>> {
    let steps = vgic_count::hit_path(found(design)?);
    let list = PyList::empty(py);
    for step in &steps {
        let (kind, field) = kind_and_field(step);
        let dict = PyDict::new(py);
        dict.set_item("kind", kind)?;
        dict.set_item("object", step.class)?;
        dict.set_item("field", field)?;
        dict.set_item("depth", step.depth)?;
        list.append(dict)?;
    }
    Ok(list)
}

#[pyfunction]
#[pyo3(signature = (design, *, deliver, mapped = Whole(0)))]
fn path_counts<'py>(
    py: Python<'py>,
    design: &str,
    deliver: bool,
    mapped: Whole<PathMapped>,
) -> PyResult<Bound<'py, PyDict>> {
    let design = found(design)?;
    let counts = py.detach(|| vgic_count::counts(design, deliver, mapped.0));
    let dict = PyDict::new(py);
    dict.set_item("locks", counts.locks)?;
    dict.set_item("writes", counts.writes)?;
    dict.set_item("rmws", counts.rmws)?;
    dict.set_item("reads", counts.reads)?;
    Ok(dict)
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(designs, m)?)?;
    m.add_function(wrap_pyfunction!(compose, m)?)?;
    m.add_function(wrap_pyfunction!(axes, m)?)?;
    m.add_function(wrap_pyfunction!(lock_order_of, m)?)?;
    m.add_function(wrap_pyfunction!(hit_path, m)?)?;
    m.add_function(wrap_pyfunction!(path_counts, m)?)?;
    Ok(())
}
