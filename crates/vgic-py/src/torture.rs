//! `torture`: threads at random and every check, with the interpreter lock released.

use crate::arguments::{Devices, Events, ItsCount, Registers, Seconds, Seed, Senders, Vcpus, Whole};
use crate::errors;
use crate::vm::counts_dict;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use vgic_lab::torture::{Break, Period, Torture};

/// Longest time of a run, in seconds.
const MOST: u32 = 10_000_000;

fn break_rule(name: &str) -> PyResult<Break> {
    match name {
        "lose" => Ok(Break::Lose),
        "leak" => Ok(Break::Leak),
        "stick" => Ok(Break::Stick),
        "crash" => Ok(Break::Crash),
        other => Err(PyValueError::new_err(format!("no rule can be broken by {other:?}"))),
    }
}

fn period_dict<'py>(py: Python<'py>, period: &Period) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("number", period.number)?;
    dict.set_item("elapsed_seconds", period.elapsed.as_secs_f64())?;
    dict.set_item("seconds", period.ran.as_secs_f64())?;
    let counts = counts_dict(py, &period.counts, 0)?;
    counts.del_item("pending")?;
    dict.set_item("counts", counts)?;
    dict.set_item("executions", period.executions)?;
    dict.set_item("commands", period.commands)?;
    dict.set_item("controls", period.controls)?;
    dict.set_item("lpis", period.lpis)?;
    dict.set_item("cached", period.cached)?;
    dict.set_item("migrated", period.migrated)?;
    dict.set_item("callbacks", period.callbacks)?;
    dict.set_item("oldest_callback_seconds", period.oldest_callback.as_secs_f64())?;
    dict.set_item("backlog", period.backlog)?;
    dict.set_item("stalls", period.stalls)?;
    Ok(dict)
}

#[pyfunction]
#[pyo3(signature = (design, *, seed, seconds, period, vcpus, its, senders, devices, events, list_registers, watchdog,
    poison, scenarios, allow_unsound, strict, report, break_rule = None))]
#[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
fn torture<'py>(
    py: Python<'py>,
    design: &str,
    seed: Whole<Seed>,
    seconds: Seconds,
    period: Seconds,
    vcpus: Whole<Vcpus>,
    its: Whole<ItsCount>,
    senders: Whole<Senders>,
    devices: Whole<Devices>,
    events: Whole<Events>,
    list_registers: Whole<Registers>,
    watchdog: Seconds,
    poison: bool,
    scenarios: Vec<String>,
    allow_unsound: bool,
    strict: bool,
    report: Py<PyAny>,
    break_rule: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let torture = Torture {
        seed: seed.0,
        time: seconds.within("seconds", MOST)?,
        period: period.within("period", MOST)?,
        vcpus: vcpus.0,
        its: its.0,
        senders: senders.0,
        devices: devices.0,
        events: events.0,
        list_registers: list_registers.0,
        watchdog: watchdog.within("watchdog", MOST)?,
        poison,
        scenarios,
        allow_unsound,
        strict,
        break_rule: break_rule.map(self::break_rule).transpose()?,
    };
    let mut raised = None;
    let verdict = py.detach(|| {
        torture.run(design, &mut |period| {
            let told = Python::attach(|py| {
                py.check_signals()?;
                let period = period.map(|period| period_dict(py, period)).transpose()?;
                report.call1(py, (period,))?.extract::<bool>(py)
            });
            told.map_err(|error| raised = Some(error)).unwrap_or(false)
        })
    });
    if let Some(error) = raised {
        return Err(error);
    }
    let verdict = verdict.map_err(errors::failure)?;
    let dict = PyDict::new(py);
    dict.set_item("broken", verdict.broken)?;
    dict.set_item("known", verdict.known)?;
    dict.set_item("stopped", verdict.stopped)?;
    Ok(dict)
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(torture, m)?)
}
