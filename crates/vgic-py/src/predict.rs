//! `predict`, `predict_closed`: workloads in virtual time, with the interpreter lock released.

use crate::arguments::{
    Devices, Events, Gap, InFlight, Iterations, Mapped, Network, Queues, Registers, Requests, Seconds, Seed, Service,
    Trace, Vcpus, Warmup, Whole,
};
use crate::runs::interruptible;
use crate::vm::counts_dict;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::collections::BTreeMap;
use vgic_lab::bench::Load;
use vgic_lab::predict::{Closed, Entry, FileReference, Flood, Latency, Outcome, Predict, Setting};
use vgic_sim::machine::{Atomics, Distance, MAX_CORES, SpinLocks, WorkCosts};
use vgic_sim::report::{FieldTally, ThreadKind};
use vgic_sim::{Machine, Ps};

const PS: f64 = 1e-12;

/// Longest time of a machine: ten seconds. So sums of times stay far from the end of the numbers.
const MOST: u64 = 10_000_000_000_000;

/// A machine as Python checked it; what is checked again here is what would break the simulator.
struct Given<'a, 'py>(&'a Bound<'py, PyDict>);

impl<'py> Given<'_, 'py> {
    fn item(&self, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.0.get_item(name)?.ok_or_else(|| PyValueError::new_err(format!("machine: no value for {name}")))
    }

    fn number(&self, name: &str) -> PyResult<u64> {
        let value: u64 = self.item(name)?.extract().map_err(|_| {
            PyValueError::new_err(format!("machine: {name} must be a whole number that is not negative"))
        })?;
        self.in_range(name, value, MOST)
    }

    fn in_range(&self, name: &str, value: u64, most: u64) -> PyResult<u64> {
        if value > most {
            return Err(PyValueError::new_err(format!("machine: {name} must be at most {most}, not {value}")));
        }
        Ok(value)
    }

    fn small(&self, name: &str) -> PyResult<u32> {
        let value = self.number(name)?;
        Ok(self.in_range(name, value, 1_000_000)? as u32)
    }

    fn choice<T: Copy>(&self, name: &str, known: &[(&str, T)]) -> PyResult<T> {
        let value: String = self.item(name)?.extract()?;
        let found = known.iter().find(|(known, _)| *known == value);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            PyValueError::new_err(format!("machine: {name} must be one of {}, not {value:?}", names.join(", ")))
        })
    }

    fn distance(&self, cores: u32) -> PyResult<Distance> {
        let matrix = self.item("matrix")?;
        if matrix.is_none() {
            let (cluster, socket) = (self.small("cluster")?, self.small("socket")?);
            if cluster == 0 || socket == 0 {
                return Err(PyValueError::new_err("machine: cluster and socket must be at least 1"));
            }
            let cost = [self.number("within_cluster")?, self.number("within_socket")?, self.number("across")?];
            return Ok(Distance::Classes { cluster, socket, cost });
        }
        let matrix: Vec<u64> = matrix.extract()?;
        if matrix.len() != cores as usize * cores as usize || matrix.iter().any(|cost| *cost > MOST) {
            return Err(PyValueError::new_err("machine: the matrix must have cores x cores times of at most 10 s"));
        }
        Ok(Distance::Matrix(matrix))
    }

    fn machine(&self) -> PyResult<Machine> {
        let cores = self.small("cores")?;
        if !(1..=MAX_CORES).contains(&cores) {
            return Err(PyValueError::new_err(format!("machine: cores must be 1 to {MAX_CORES}, not {cores}")));
        }
        let grace_period = [self.number("grace_period_min")?, self.number("grace_period_max")?];
        if grace_period[0] > grace_period[1] {
            return Err(PyValueError::new_err("machine: grace_period_min is above grace_period_max"));
        }
        Ok(Machine {
            cores,
            distance: self.distance(cores)?,
            hit_load: self.number("hit_load")?,
            hit_store: self.number("hit_store")?,
            hit_rmw: self.number("hit_rmw")?,
            shared_read: self.small("shared_read")?,
            read_occupancy: self.number("read_occupancy")?,
            invalidate: self.small("invalidate")?,
            memory: self.number("memory")?,
            hold: self.number("hold")?,
            fence: self.number("fence")?,
            atomics: self.choice(
                "atomics",
                &[("near", Atomics::Near), ("far-store", Atomics::FarStore), ("llsc", Atomics::LlSc)],
            )?,
            far_atomic: self.number("far_atomic")?,
            spin_locks: self
                .choice("spin_locks", &[("qspinlock", SpinLocks::Qspinlock), ("ticket", SpinLocks::Ticket)])?,
            store_buffer: self.small("store_buffer")?,
            rcu_section: self.number("rcu_section")?,
            grace_period,
            // A loop that waits must let time pass.
            relax: self.number("relax")?.max(1),
            step: self.number("step")?,
            jitter: self.small("jitter")?.min(1000),
            work: WorkCosts {
                syscall: self.number("syscall")?,
                copy: self.number("copy")?,
                kmalloc: self.number("kmalloc")?,
                kfree: self.number("kfree")?,
                ipi_send: self.number("ipi_send")?,
                ipi_latency: self.number("ipi_latency")?,
                ipi_receive: self.number("ipi_receive")?,
                wake: self.number("wake")?,
                wake_latency: self.number("wake_latency")?,
                world_switch_in: self.number("world_switch_in")?,
                world_switch_out: self.number("world_switch_out")?,
                list_register_write: self.number("list_register_write")?,
                list_register_read: self.number("list_register_read")?,
                guest_access: self.number("guest_access")?,
                guest_interrupt: self.number("guest_interrupt")?,
                bus_step: self.number("bus_step")?,
                workqueue_hop: self.number("workqueue_hop")?,
                irqfd: self.number("irqfd")?,
                gicv4_translate: self.number("gicv4_translate")?,
                gicv4_deliver: self.number("gicv4_deliver")?,
                gicv4_doorbell: self.number("gicv4_doorbell")?,
            },
        })
    }
}

fn entry(name: &str, f_count: &str) -> PyResult<Entry> {
    let reference = match f_count {
        "cas" => FileReference::CompareAndSwap,
        "add" => FileReference::Add,
        "none" => FileReference::None,
        other => return Err(PyValueError::new_err(format!("f_count must be cas, add or none, not {other:?}"))),
    };
    match name {
        "direct" => Ok(Entry::Direct),
        "ioctl" => Ok(Entry::Ioctl(reference)),
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
    let machine = Given(machine).machine()?;
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

#[pyfunction]
#[pyo3(signature = (design, machine, *, vcpus, devices, events, iterations, warmup = Whole(0), guest = "fixed",
    entry = "direct", gap_ps = Whole(0), f_count = "cas", mapped = Whole(0), list_registers = Whole(4), seed = Whole(1), free = Vec::new(),
    trace = Whole(0), allow_unsound = false, poll = None))]
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
    let entry = self::entry(entry, f_count)?;
    let flood = Flood { load, iterations: iterations.0, warmup: warmup.0, entry, gap: gap_ps.0 };
    let trace = trace.0;
    let setting = setting(machine, seed.0, free, trace, allow_unsound)?;
    let outcome = interruptible(py, poll, |poll| flood.predict(design, &setting, poll))?;
    outcome_dict(py, design, trace > 0, &outcome)
}

#[pyfunction]
#[pyo3(signature = (design, machine, *, vcpus, queues, in_flight, service_ps, network_ps, requests, warmup = Whole(0),
    entry = "irqfd", list_registers = Whole(4), seed = Whole(1), free = Vec::new(), allow_unsound = false, poll = None))]
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
    requests: Whole<Requests>,
    warmup: Whole<Warmup>,
    entry: &str,
    list_registers: Whole<Registers>,
    seed: Whole<Seed>,
    free: Vec<String>,
    allow_unsound: bool,
    poll: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let entry = self::entry(entry, "cas")?;
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
    };
    let setting = setting(machine, seed.0, free, 0, allow_unsound)?;
    let outcome = interruptible(py, poll, |poll| closed.predict(design, &setting, poll))?;
    outcome_dict(py, design, false, &outcome)
}

/// Measures this machine for about so many seconds; times in nanoseconds.
#[pyfunction]
#[pyo3(signature = (seconds))]
fn measure_here(py: Python<'_>, seconds: Seconds) -> PyResult<Bound<'_, PyDict>> {
    let time = seconds.within("seconds", 3600)?;
    let here = py.detach(|| vgic_lab::here::here(time));
    let dict = PyDict::new(py);
    dict.set_item("cpus", here.cpus)?;
    dict.set_item("matrix_ns", here.matrix)?;
    dict.set_item("hit_load_ns", here.hit_load)?;
    dict.set_item("hit_store_ns", here.hit_store)?;
    dict.set_item("hit_rmw_ns", here.hit_rmw)?;
    dict.set_item("fence_ns", here.fence)?;
    dict.set_item("syscall_ns", here.syscall)?;
    Ok(dict)
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(measure_here, m)?)?;
    m.add_function(wrap_pyfunction!(predict, m)?)?;
    m.add_function(wrap_pyfunction!(predict_closed, m)?)
}
