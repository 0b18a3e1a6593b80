//! `predict`, `predict_closed`: workloads in virtual time, with the interpreter lock released.

use crate::arguments::{
    Client, Cpu, Devices, Each, Events, Gap, InFlight, Iterations, Mapped, MoviGap, MsisPerCall, Network, OtherCpu,
    Packet, Pipeline, Queues, Registers, Requests, RxModeration, Seconds, Seed, Servers, Service, Threads, Trace,
    TxModeration, Vcpus, Warmup, Whole,
};
use crate::errors;
use crate::runs::interruptible;
use crate::vm::counts_dict;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::collections::BTreeMap;
use vgic_lab::bench::Load;
use vgic_lab::here::{Cost, ping_pong, usable};
use vgic_predict::counter::{self, Counter};
use vgic_predict::{Closed, Driver, Entry, FileReference, Flood, Latency, Outcome, Predict, Recorded, Setting};
use vgic_sim::Ps;
use vgic_sim::report::{FieldTally, ThreadKind};

const PS: f64 = 1e-12;

fn entry(name: &str, f_count: &str, msis: u32) -> PyResult<Entry> {
    let reference = match f_count {
        "cas" => FileReference::CompareAndSwap,
        "add" => FileReference::Add,
        "none" => FileReference::None,
        other => return Err(PyValueError::new_err(format!("f_count must be cas, add or none, not {other:?}"))),
    };
    match name {
        "ioctl" => Ok(Entry::Ioctl { reference, msis }),
        "direct" | "irqfd" if msis != 1 => {
            Err(PyValueError::new_err(format!("msis_per_call must be 1 with entry {name}, not {msis}")))
        }
        "direct" => Ok(Entry::Direct),
        "irqfd" => Ok(Entry::Irqfd),
        other => Err(PyValueError::new_err(format!("entry must be direct, ioctl or irqfd, not {other:?}"))),
    }
}

fn setting(
    machine: &Bound<'_, PyDict>,
    seed: u64,
    free: Vec<String>,
    trace: usize,
    unsound: bool,
) -> PyResult<Setting> {
    let machine = crate::machine::machine(machine)?;
    Ok(Setting {
        machine,
        seed,
        free: free.into_iter().collect(),
        trace: trace.min(10_000_000),
        allow_unsound: unsound,
    })
}

fn latency_dict<'py>(py: Python<'py>, latency: &Latency) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("samples", latency.samples)?;
    dict.set_item("mean_seconds", latency.sum as f64 * PS / (latency.samples.max(1) as f64))?;
    dict.set_item("median_seconds", latency.median as f64 * PS)?;
    dict.set_item("p99_seconds", latency.p99 as f64 * PS)?;
    Ok(dict)
}

/// Sums over fields by kind of thread, those of nothing left out.
fn sums<'a>(
    fields: &'a [&FieldTally],
    of: impl Fn(&FieldTally, usize) -> u64 + 'a,
) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    let kinds = ThreadKind::ALL.iter().enumerate();
    kinds
        .map(move |(at, (_, name))| (*name, fields.iter().map(|field| of(field, at)).sum()))
        .filter(|(_, sum)| *sum > 0)
}

/// Misses by kind of thread.
fn by_kind<'py>(
    py: Python<'py>,
    fields: &[&FieldTally],
    of: impl Fn(&FieldTally, usize) -> u64,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    sums(fields, of).try_for_each(|(name, sum)| dict.set_item(name, sum))?;
    Ok(dict)
}

/// Seconds by kind of thread.
fn times_by_kind<'py>(
    py: Python<'py>,
    fields: &[&FieldTally],
    of: impl Fn(&FieldTally, usize) -> Ps,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    sums(fields, of).try_for_each(|(name, sum)| dict.set_item(name, sum as f64 * PS))?;
    Ok(dict)
}

/// The contended lines, the worst first.
fn lines<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyList>> {
    let mut lines: BTreeMap<(&str, u64), Vec<&FieldTally>> = BTreeMap::new();
    for field in outcome.tally.fields() {
        if field.stalled() > 0 || field.misses() > 0 {
            lines.entry((field.class, field.line)).or_default().push(field);
        }
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    let stalled = |fields: &[&FieldTally]| fields.iter().map(|field| field.stalled()).sum::<u64>();
    lines.sort_by_key(|(_, fields)| std::cmp::Reverse(stalled(fields)));
    let list = PyList::empty(py);
    for ((class, line), mut fields) in lines {
        fields.sort_by_key(|field| (std::cmp::Reverse(field.stalled()), field.name));
        let dict = PyDict::new(py);
        dict.set_item("object", class)?;
        dict.set_item("line", line)?;
        dict.set_item("transfers", fields.iter().map(|field| field.misses()).sum::<u64>())?;
        dict.set_item("stall_seconds", stalled(&fields) as f64 * PS)?;
        dict.set_item("stalls", times_by_kind(py, &fields, |field, at| field.stalls[at])?)?;
        dict.set_item("outside", times_by_kind(py, &fields, |field, at| field.outside[at])?)?;
        let names = PyList::empty(py);
        for field in &fields {
            let one = PyDict::new(py);
            one.set_item("name", field.name)?;
            one.set_item("reads", field.reads.iter().sum::<u64>())?;
            one.set_item("writes", field.writes.iter().sum::<u64>())?;
            one.set_item("stall_seconds", field.stalled() as f64 * PS)?;
            names.append(one)?;
        }
        dict.set_item("fields", names)?;
        dict.set_item("writers", by_kind(py, &fields, |field, at| field.writes[at])?)?;
        dict.set_item("readers", by_kind(py, &fields, |field, at| field.reads[at])?)?;
        list.append(dict)?;
    }
    Ok(list)
}

fn outcome_dict<'py>(py: Python<'py>, design: &str, traced: bool, outcome: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let dict = counts_dict(py, &outcome.counts, outcome.pending)?;
    let seconds = outcome.elapsed as f64 * PS;
    let grace = |of: &str| {
        let spent = outcome.threads.iter().filter_map(|threads| threads.spent.get(of));
        spent.sum::<u64>() as f64 * PS
    };
    dict.set_item("design", design)?;
    dict.set_item("mode", "predicted")?;
    dict.set_item("accepted", outcome.accepted)?;
    dict.set_item("seconds", seconds)?;
    dict.set_item("cpu_seconds", 0.0)?;
    dict.set_item("grace_period_seconds", grace("grace periods"))?;
    let window = counts_dict(py, &outcome.measured, 0)?;
    window.del_item("pending")?;
    window.set_item("accepted", outcome.accepted)?;
    window.set_item("requests", outcome.requests)?;
    dict.set_item("window", window)?;
    dict.set_item("accesses", outcome.accesses)?;
    dict.set_item("latency", latency_dict(py, &outcome.latency)?)?;
    dict.set_item("response", latency_dict(py, &outcome.response)?)?;
    let threads = PyList::empty(py);
    for kind in &outcome.threads {
        let one = PyDict::new(py);
        one.set_item("kind", kind.name)?;
        one.set_item("count", kind.count)?;
        let spent = PyDict::new(py);
        for (name, time) in &kind.spent {
            spent.set_item(name, *time as f64 * PS)?;
        }
        one.set_item("seconds", spent)?;
        threads.append(one)?;
    }
    dict.set_item("threads", threads)?;
    dict.set_item("lines", lines(py, outcome)?)?;
    let locks = PyList::empty(py);
    let mut sorted: Vec<_> = outcome.tally.locks().iter().filter(|lock| lock.taken > 0).collect();
    sorted.sort_by_key(|lock| (std::cmp::Reverse(lock.waited), lock.name));
    for lock in sorted {
        let one = PyDict::new(py);
        one.set_item("name", lock.name)?;
        one.set_item("taken", lock.taken)?;
        one.set_item("wait_seconds", lock.waited as f64 * PS)?;
        locks.append(one)?;
    }
    dict.set_item("locks", locks)?;
    let charged = PyDict::new(py);
    for (name, time) in &outcome.charged {
        charged.set_item(name, *time as f64 * PS)?;
    }
    dict.set_item("charged", charged)?;
    dict.set_item("fields", outcome.tally.names().into_iter().collect::<Vec<_>>())?;
    dict.set_item("cores", &outcome.cores)?;
    if traced {
        let events = outcome.trace.iter();
        let events: Vec<_> = events
            .map(|e| (e.kind, e.core, e.name.as_str(), e.begin, e.end, e.flow.map_or(-1, |flow| flow as i64)))
            .collect();
        dict.set_item("trace", events)?;
    }
    Ok(dict)
}

/// Runs a workload, and says what came out.
fn outcome_of<'py>(
    py: Python<'py>,
    load: &(impl Predict + Sync),
    design: &str,
    setting: &Setting,
    poll: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let outcome = interruptible(py, poll, |poll| load.predict(design, setting, poll))?;
    outcome_dict(py, design, setting.trace > 0, &outcome)
}

#[pyfunction]
#[pyo3(signature = (design, machine, *, vcpus, devices, events, iterations, warmup = Whole(0), guest = "fixed",
    entry = "direct", gap_ps = Whole(0), f_count = "cas", msis_per_call = Whole(1), mapped = Whole(0),
    list_registers = Whole(4), seed = Whole(1), free = Vec::new(), trace = Whole(0), allow_unsound = false, poll = None))]
#[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
fn predict<'py>(
    py: Python<'py>,
    design: &str,
    machine: &Bound<'py, PyDict>,
    vcpus: Whole<Vcpus>,
    devices: Whole<Devices>,
    events: Whole<Events>,
    iterations: Whole<Iterations>,
    warmup: Whole<Warmup>,
    guest: &str,
    entry: &str,
    gap_ps: Whole<Gap>,
    f_count: &str,
    msis_per_call: Whole<MsisPerCall>,
    mapped: Whole<Mapped>,
    list_registers: Whole<Registers>,
    seed: Whole<Seed>,
    free: Vec<String>,
    trace: Whole<Trace>,
    allow_unsound: bool,
    poll: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let guest = crate::runs::guest(guest)?;
    let load = Load {
        vcpus: vcpus.0,
        devices: devices.0,
        events: events.0,
        guest,
        list_registers: list_registers.0,
        mapped: mapped.0,
    };
    let entry = self::entry(entry, f_count, msis_per_call.0)?;
    let flood = Flood { load, iterations: iterations.0, warmup: warmup.0, entry, gap: gap_ps.0 };
    let setting = setting(machine, seed.0, free, trace.0, allow_unsound)?;
    outcome_of(py, &flood, design, &setting, poll)
}

#[pyfunction]
#[pyo3(signature = (design, machine, *, vcpus, queues, in_flight, service_ps, network_ps, polls = false, packet_ps = Whole(0),
    rx_moderation_ps = Whole(0), tx_moderation_ps = Whole(0), client_ps = Whole(0), servers = Whole(0), pipeline = Whole(1), movi_ps = Whole(0), requests, warmup = Whole(0),
    entry = "irqfd", f_count = "cas", msis_per_call = Whole(1), list_registers = Whole(4), seed = Whole(1), free = Vec::new(), allow_unsound = false, poll = None))]
#[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
fn predict_closed<'py>(
    py: Python<'py>,
    design: &str,
    machine: &Bound<'py, PyDict>,
    vcpus: Whole<Vcpus>,
    queues: Whole<Queues>,
    in_flight: Whole<InFlight>,
    service_ps: Whole<Service>,
    network_ps: Whole<Network>,
    polls: bool,
    packet_ps: Whole<Packet>,
    rx_moderation_ps: Whole<RxModeration>,
    tx_moderation_ps: Whole<TxModeration>,
    client_ps: Whole<Client>,
    servers: Whole<Servers>,
    pipeline: Whole<Pipeline>,
    movi_ps: Whole<MoviGap>,
    requests: Whole<Requests>,
    warmup: Whole<Warmup>,
    entry: &str,
    f_count: &str,
    msis_per_call: Whole<MsisPerCall>,
    list_registers: Whole<Registers>,
    seed: Whole<Seed>,
    free: Vec<String>,
    allow_unsound: bool,
    poll: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let entry = self::entry(entry, f_count, msis_per_call.0)?;
    let closed = Closed {
        vcpus: vcpus.0,
        queues: queues.0,
        in_flight: in_flight.0,
        service: service_ps.0,
        network: network_ps.0,
        requests: requests.0,
        warmup: warmup.0,
        entry,
        list_registers: list_registers.0,
        driver: Driver {
            polls,
            packet: packet_ps.0,
            rx_moderation: rx_moderation_ps.0,
            tx_moderation: tx_moderation_ps.0,
            client: client_ps.0,
            servers: servers.0,
            pipeline: pipeline.0,
            movi: movi_ps.0,
        },
    };
    let setting = setting(machine, seed.0, free, 0, allow_unsound)?;
    outcome_of(py, &closed, design, &setting, poll)
}

/// Rows of so many numbers, of a buffer of them.
fn rows<const N: usize>(name: &str, buffer: &Bound<'_, PyAny>) -> PyResult<Vec<[u64; N]>> {
    // The buffer of an empty array has no address, which `get` refuses.
    if buffer.len().is_ok_and(|len| len == 0) {
        return Ok(Vec::new());
    }
    let all = PyBuffer::<u64>::get(buffer)
        .map_err(|_| PyValueError::new_err(format!("{name} must be a buffer of unsigned 64-bit integers")))?
        .to_vec(buffer.py())?;
    if all.len() % N != 0 {
        return Err(PyValueError::new_err(format!("{name}: {} numbers are no whole rows of {N}", all.len())));
    }
    Ok(all.chunks_exact(N).map(|row| row.try_into().expect("a whole row")).collect())
}

#[pyfunction]
#[pyo3(signature = (design, machine, *, vcpus, vectors, sends, handlers, moves, entry = "irqfd", f_count = "cas",
    msis_per_call = Whole(1), list_registers = Whole(4), seed = Whole(1), free = Vec::new(), allow_unsound = false, poll = None))]
#[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
fn predict_recorded<'py>(
    py: Python<'py>,
    design: &str,
    machine: &Bound<'py, PyDict>,
    vcpus: Whole<Vcpus>,
    vectors: &Bound<'py, PyAny>,
    sends: &Bound<'py, PyAny>,
    handlers: &Bound<'py, PyAny>,
    moves: &Bound<'py, PyAny>,
    entry: &str,
    f_count: &str,
    msis_per_call: Whole<MsisPerCall>,
    list_registers: Whole<Registers>,
    seed: Whole<Seed>,
    free: Vec<String>,
    allow_unsound: bool,
    poll: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let entry = self::entry(entry, f_count, msis_per_call.0)?;
    let recorded = Recorded::new(
        vcpus.0,
        &rows("vectors", vectors)?,
        &rows("sends", sends)?,
        &rows("handlers", handlers)?,
        &rows("moves", moves)?,
        entry,
        list_registers.0,
    )
    .map_err(errors::refused)?;
    let setting = setting(machine, seed.0, free, 0, allow_unsound)?;
    outcome_of(py, &recorded, design, &setting, poll)
}

/// Nanoseconds of the whole for an increment of one counter.
#[pyfunction]
#[pyo3(signature = (machine, how, threads, each))]
fn contended(
    py: Python<'_>,
    machine: &Bound<'_, PyDict>,
    how: &str,
    threads: Whole<Threads>,
    each: Whole<Each>,
) -> PyResult<f64> {
    let machine = crate::machine::machine(machine)?;
    let known = Counter::ALL.iter().find(|(name, _)| *name == how);
    let Some((_, counter)) = known else {
        return Err(PyValueError::new_err(format!("how must be add, cas, spin or ticket, not {how:?}")));
    };
    let time = interruptible(py, None, |_| counter::contended(&machine, *counter, threads.0, each.0))?;
    Ok(time as f64 / 1e3 / f64::from(threads.0 * each.0))
}

/// One sample of what a thing costs on this machine, in nanoseconds.
#[pyfunction]
#[pyo3(signature = (what, seconds))]
fn sample_cost(py: Python<'_>, what: &str, seconds: Seconds) -> PyResult<f64> {
    let cost = match what {
        "load" => Cost::Load,
        "store" => Cost::Store,
        "rmw" => Cost::Rmw,
        "store_and_fence" => Cost::StoreAndFence,
        "syscall" => Cost::Syscall,
        _ => {
            let text = format!("what must be load, store, rmw, store_and_fence or syscall, not {what:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    let time = seconds.within("seconds", 3600)?;
    Ok(py.detach(|| cost.sample(time)))
}

/// One sample of half a round of compare-and-swap between two CPUs, in nanoseconds.
#[pyfunction]
#[pyo3(signature = (cpu, other_cpu, seconds))]
fn sample_ping_pong(py: Python<'_>, cpu: Whole<Cpu>, other_cpu: Whole<OtherCpu>, seconds: Seconds) -> PyResult<f64> {
    let time = seconds.within("seconds", 3600)?;
    Ok(py.detach(|| ping_pong(cpu.0, other_cpu.0, time)))
}

/// CPUs that a thread can be pinned to.
#[pyfunction]
fn usable_cpus(py: Python<'_>) -> Vec<usize> {
    py.detach(usable)
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(sample_cost, m)?)?;
    m.add_function(wrap_pyfunction!(sample_ping_pong, m)?)?;
    m.add_function(wrap_pyfunction!(usable_cpus, m)?)?;
    m.add_function(wrap_pyfunction!(contended, m)?)?;
    m.add_function(wrap_pyfunction!(predict, m)?)?;
    m.add_function(wrap_pyfunction!(predict_closed, m)?)?;
    m.add_function(wrap_pyfunction!(predict_recorded, m)?)
}
