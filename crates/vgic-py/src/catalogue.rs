//! `designs`, `hit_path`, `path_counts`: what the designs are.

use crate::arguments::{PathMapped, Whole};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use vgic_core::cache::lazy::{Eviction, Locking, Retire};
use vgic_core::designs::series::spec;
use vgic_core::designs::{
    ConfigRead, Drain, Found, Free, Get, Index, LockOrder, LpiCount, PruneGap, Put, Queue, ROWS, Row, Spec, Walk,
};
use vgic_count::{Kind, Step};

fn cache(row: &Row, spec: &Spec) -> String {
    if row.name == "rwlock" {
        return "eager, usage count, under an rwlock".to_owned();
    }
    if spec.drain != Drain::Locked {
        return "xarray in each ITS, read under RCU".to_owned();
    }
    let number = row.name.strip_prefix("patch-").and_then(|n| n.parse::<u32>().ok());
    let lazy = number.is_some_and(|n| n >= 11) || row.name == "v2" || row.name == "call-rcu";
    if !lazy {
        return "eager LRU list under lpi_list_lock".to_owned();
    }
    let victim = match spec.lazy.eviction {
        Eviction::Lru => "LRU",
        Eviction::UsageReset => "usage count (reset)",
        Eviction::UsageKept => "usage count",
    };
    let locking = match spec.lazy.locking {
        Locking::Spin => "under lpi_list_lock",
        Locking::Rcu => "read under RCU",
    };
    let retire = match spec.lazy.retire {
        Retire::Now => "",
        Retire::SynchronizeAlways => ", synchronize_rcu on every insertion",
        Retire::SynchronizeVictim => ", synchronize_rcu for a victim",
        Retire::CallRcu => ", victims by call_rcu",
    };
    let limit = if spec.lazy.counted { "" } else { ", limit inactive" };
    format!("lazy, {victim}, {locking}{retire}{limit}")
}

fn lock_order(row: &Row, spec: &Spec) -> Vec<&'static str> {
    let mut order = vec!["its_lock"];
    if spec.config_read == ConfigRead::Locked {
        order.push("lpi_config_lock");
    }
    let xa = spec.index.has_xarray();
    if spec.drain != Drain::Locked {
        order.push("translation_cache.xa_lock");
    }
    if spec.order == LockOrder::XArrayFirst {
        order.push("lpi_xa.xa_lock");
    }
    order.push("ap_list_lock");
    if row.name == "rwlock" {
        order.push("lpi_translation_cache_lock");
    }
    if spec.has_lpi_list_lock() {
        order.push("lpi_list_lock");
    }
    if xa && spec.order == LockOrder::ApListFirst {
        order.push("lpi_xa.xa_lock");
    }
    order.push("irq_lock");
    order
}

fn design<'py>(py: Python<'py>, row: &Row, spec: &Spec) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", row.name)?;
    dict.set_item("based_on", row.based_on)?;
    dict.set_item("changed", row.changed)?;
    dict.set_item("fixes", row.fixes)?;
    dict.set_item("defect", row.defect)?;
    dict.set_item("reference", row.reference)?;
    dict.set_item("unsound", row.unsound)?;
    dict.set_item("control_races", row.control_races)?;
    let count = match spec.count {
        LpiCount::Plain => "",
        LpiCount::Atomic => ", atomic count",
        LpiCount::None => ", no count",
    };
    let index = match spec.index {
        Index::List => "list",
        Index::ListAndXArray => "list and xarray",
        Index::XArray => "xarray",
    };
    dict.set_item("lpi_store", format!("{index}{count}"))?;
    dict.set_item(
        "get",
        match spec.get {
            Get::ListWalk => "list walk under lpi_list_lock",
            Get::XArrayLocked => "xa_load under lpi_list_lock",
            Get::XArrayRcu => "xa_load under RCU, if not zero",
        },
    )?;
    dict.set_item(
        "put",
        match spec.put {
            Put::Locked => "under lpi_list_lock",
            Put::EraseIrqsOn => "atomic; erase with interrupts on",
            Put::EraseIrqsOff => "atomic; erase with interrupts off",
            Put::Deferred => "atomic; release put off under raw locks",
            Put::DecAndLock => "atomic; the last with the xarray's lock",
        },
    )?;
    dict.set_item("free", if spec.free == Free::Now { "kfree" } else { "kfree_rcu" })?;
    dict.set_item("cache", cache(row, spec))?;
    dict.set_item(
        "cache_reference",
        match spec.cache_hit {
            Found::Unreferenced => "none",
            Found::Get => "unconditional",
            Found::TryGet => "if not zero",
        },
    )?;
    dict.set_item(
        "walk",
        match spec.walk {
            Walk::CopyList => "copy of the list",
            Walk::CopyXArrayWide => "copy of the xarray, bound too wide",
            Walk::CopyXArrayEmpty => "copy of the xarray, empty bound",
            Walk::CopyXArray => "copy of the xarray",
            Walk::ForEach => "xa_for_each",
        },
    )?;
    let queue = if spec.queue == Queue::Classic { "ap_list" } else { "ap_list by summary" };
    let gap = if spec.prune_gap == PruneGap::Bare { "" } else { ", reference while migrating" };
    dict.set_item("queue", format!("{queue}{gap}"))?;
    dict.set_item("lock_order", lock_order(row, spec))?;
    Ok(dict)
}

#[pyfunction]
fn designs(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for row in ROWS {
        if let Some(spec) = spec(row.name) {
            list.append(design(py, row, spec)?)?;
        }
    }
    Ok(list)
}

fn unknown(design: &str) -> PyErr {
    PyValueError::new_err(format!("unknown design {design:?}"))
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
    let steps = vgic_count::hit_path(design).ok_or_else(|| unknown(design))?;
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
    let counts = py.detach(|| vgic_count::counts(design, deliver, mapped.0)).ok_or_else(|| unknown(design))?;
    let dict = PyDict::new(py);
    dict.set_item("locks", counts.locks)?;
    dict.set_item("writes", counts.writes)?;
    dict.set_item("rmws", counts.rmws)?;
    dict.set_item("reads", counts.reads)?;
    Ok(dict)
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(designs, m)?)?;
    m.add_function(wrap_pyfunction!(hit_path, m)?)?;
    m.add_function(wrap_pyfunction!(path_counts, m)?)?;
    Ok(())
}
