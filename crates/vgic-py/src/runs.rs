//! `stress`, `replay`, `floor`: workloads with the interpreter lock released.

use crate::arguments::{Cpu, Devices, Events, Iterations, Loops, Mapped, Registers, Seconds, Vcpus, Whole, Window};
use crate::errors;
use crate::vm::counts_dict;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;
use vgic_lab::bench::Guest;
use vgic_lab::replay::{Acknowledge, How, OPS, Program, Reason, Replay};
use vgic_lab::sample::{Length, Sample};
use vgic_lab::stress::{Failure, Mode, Stress};

/// Runs `f` without the interpreter lock; it polls for signals and calls `poll`, either of which may raise.
pub(crate) fn interruptible<R: Send>(
    py: Python<'_>,
    poll: Option<Py<PyAny>>,
    f: impl FnOnce(&mut dyn FnMut(f64) -> bool) -> Result<R, Failure> + Send,
) -> PyResult<R> {
    let mut raised = None;
    let result = py.detach(|| {
        f(&mut |fraction| {
            let told = Python::attach(|py| {
                py.check_signals()?;
                poll.as_ref().map_or(Ok(()), |poll| poll.call1(py, (fraction,)).map(drop))
            });
            told.map_err(|error| raised = Some(error)).is_ok()
        })
    });
    match (result, raised) {
        (_, Some(error)) => Err(error),
        (Ok(value), None) => Ok(value),
        (Err(failure), None) => Err(errors::failure(failure)),
    }
}

fn length(iterations: Option<u64>, seconds: Option<Seconds>) -> PyResult<Length> {
    match (iterations, seconds) {
        (Some(0), None) => Err(PyValueError::new_err("iterations must be at least 1")),
        (Some(iterations), None) => Ok(Length::Iterations(iterations)),
        (None, Some(seconds)) => Ok(Length::Time(seconds.within("seconds", 86400)?)),
        _ => Err(PyValueError::new_err("give exactly one of iterations and seconds")),
    }
}

fn mode(name: &str) -> PyResult<Mode> {
    match name {
        "live" => Ok(Mode::Live),
        "lockstep" => Ok(Mode::Lockstep),
        "senders" => Ok(Mode::Senders),
        other => Err(PyValueError::new_err(format!("mode must be live, lockstep or senders, not {other:?}"))),
    }
}

pub(crate) fn guest(name: &str) -> PyResult<Guest> {
    match name {
        "fixed" => Ok(Guest::Fixed),
        "as-published" => Ok(Guest::AsPublished),
        other => Err(PyValueError::new_err(format!("guest must be fixed or as-published, not {other:?}"))),
    }
}

fn sample_dict<'py>(py: Python<'py>, design: &str, mode: &str, sample: &Sample) -> PyResult<Bound<'py, PyDict>> {
    let dict = counts_dict(py, &sample.counts, sample.pending)?;
    dict.set_item("design", design)?;
    dict.set_item("mode", mode)?;
    dict.set_item("accepted", sample.accepted)?;
    dict.set_item("seconds", sample.elapsed.as_secs_f64())?;
    dict.set_item("cpu_seconds", sample.cpu.as_secs_f64())?;
    dict.set_item("grace_period_seconds", sample.grace.as_secs_f64())?;
    Ok(dict)
}

#[pyfunction]
#[pyo3(signature = (design, *, vcpus, devices, events, iterations = None, seconds = None, mode = "live",
    guest = "fixed", list_registers = Whole(4), mapped = Whole(0), window = Whole(0), churn = false, allow_unsound = false, poll = None))]
#[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
fn stress<'py>(
    py: Python<'py>,
    design: &str,
    vcpus: Whole<Vcpus>,
    devices: Whole<Devices>,
    events: Whole<Events>,
    iterations: Option<Whole<Iterations>>,
    seconds: Option<Seconds>,
    mode: &str,
    guest: &str,
    list_registers: Whole<Registers>,
    mapped: Whole<Mapped>,
    window: Whole<Window>,
    churn: bool,
    allow_unsound: bool,
    poll: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let load = Stress {
        vcpus: vcpus.0,
        devices: devices.0,
        events: events.0,
        length: length(iterations.map(|iterations| iterations.0), seconds)?,
        mode: self::mode(mode)?,
        guest: self::guest(guest)?,
        list_registers: list_registers.0,
        mapped: mapped.0,
        window: window.0,
        churn,
        allow_unsound,
    };
    let sample = interruptible(py, poll, |poll| load.run(design, poll))?;
    sample_dict(py, design, mode, &sample)
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Same => "",
        Reason::Tie => "tie",
        Reason::LogOrder => "log order",
        Reason::Missing => "missing",
        Reason::Unexplained => "unexplained",
    }
}

#[pyfunction]
#[pyo3(signature = (design, program, *, vcpus, mode = "recorded", loops = None, seconds = None, list_registers = Whole(4),
    allow_unsound = false, poll = None))]
#[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
fn replay<'py>(
    py: Python<'py>,
    design: &str,
    program: &Bound<'py, PyAny>,
    vcpus: Whole<Vcpus>,
    mode: &str,
    loops: Option<Whole<Loops>>,
    seconds: Option<Seconds>,
    list_registers: Whole<Registers>,
    allow_unsound: bool,
    poll: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let rows = PyBuffer::<u64>::get(program)
        .map_err(|_| PyValueError::new_err("program must be a buffer of unsigned 64-bit integers"))?
        .to_vec(py)?;
    let program = Arc::new(Program::new(&rows, vcpus.0).map_err(errors::refused)?);
    let loops = loops.map(|loops| loops.0).or(if seconds.is_none() { Some(1) } else { None });
    let replay = Replay {
        program: &program,
        how: if mode == "recorded" { How::Recorded } else { How::FlatOut(self::mode(mode)?) },
        length: length(loops, seconds)?,
        list_registers: list_registers.0,
    };
    let replayed = interruptible(py, poll, |poll| replay.run(design, allow_unsound, poll))?;
    let dict = sample_dict(py, design, mode, &replayed.sample)?;
    let row = |a: &Acknowledge| (a.vcpu, a.recorded, a.answered, a.line, reason(a.reason));
    dict.set_item("acknowledges", replayed.acknowledges.iter().map(row).collect::<Vec<_>>())?;
    dict.set_item("left", replayed.left)?;
    let errors: Vec<_> =
        replayed.command_errors.iter().map(|(line, error)| (*line, errors::command_code(*error))).collect();
    dict.set_item("command_errors", errors)?;
    Ok(dict)
}

#[pyfunction]
#[pyo3(signature = (seconds, devices = Whole(1), events = Whole(1)))]
fn floor(py: Python<'_>, seconds: Seconds, devices: Whole<Devices>, events: Whole<Events>) -> PyResult<(u64, f64)> {
    let Length::Time(time) = length(None, Some(seconds))? else { unreachable!("a time was given") };
    let (devices, events) = (devices.0, events.0);
    let all = u64::from(devices) * u64::from(events);
    vgic_host::in_range("devices x events", all, 1, 57344).map_err(errors::refused)?;
    let (sends, cpu) =
        interruptible(py, None, |poll| vgic_lab::floor::floor(time, devices, events, poll).map_err(Failure::from))?;
    Ok((sends, cpu.as_secs_f64()))
}

#[pyfunction]
fn pin_to_cpu(cpu: Whole<Cpu>) -> PyResult<()> {
    vgic_lab::clock::pin_to_cpu(cpu.0).map_err(PyOSError::new_err)
}

#[pyfunction]
fn live_objects(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (class, count) in vgic_native::live_objects() {
        if count != 0 {
            dict.set_item(class, count)?;
        }
    }
    Ok(dict)
}

#[pyfunction]
fn rcu_barrier(py: Python<'_>) {
    use vgic_core::Platform;
    py.detach(|| vgic_native::Native::rcu_barrier(&vgic_native::NativeCtx::new("barrier")));
}

#[pyfunction]
fn rcu_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let runtime = vgic_native::Runtime::global();
    let stats = runtime.rcu_stats();
    let dict = PyDict::new(py);
    dict.set_item("strategy", format!("{:?}", runtime.rcu().strategy()).to_lowercase())?;
    dict.set_item("grace_periods", stats.grace_periods)?;
    dict.set_item("waited_seconds", stats.waited_ns as f64 / 1e9)?;
    dict.set_item("longest_wait_seconds", stats.max_wait_ns as f64 / 1e9)?;
    dict.set_item("callbacks_queued", stats.callbacks_queued)?;
    dict.set_item("callbacks_run", stats.callbacks_run)?;
    dict.set_item("backlog", stats.backlog)?;
    dict.set_item("oldest_callback_age_seconds", stats.oldest_callback_age_ns as f64 / 1e9)?;
    dict.set_item("stalls", stats.stalls)?;
    Ok(dict)
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let ops = PyDict::new(m.py());
    for (number, name) in OPS.iter().enumerate() {
        ops.set_item(name, number)?;
    }
    m.add("OPS", ops)?;
    m.add_function(wrap_pyfunction!(stress, m)?)?;
    m.add_function(wrap_pyfunction!(replay, m)?)?;
    m.add_function(wrap_pyfunction!(floor, m)?)?;
    m.add_function(wrap_pyfunction!(pin_to_cpu, m)?)?;
    m.add_function(wrap_pyfunction!(live_objects, m)?)?;
    m.add_function(wrap_pyfunction!(rcu_barrier, m)?)?;
    m.add_function(wrap_pyfunction!(rcu_stats, m)?)?;
    Ok(())
}
