//! Arguments that are numbers: a kind says the name and the range, so that whatever is refused is named.
//!
//! PyO3's own integers raise `OverflowError`, and name the argument only in a note to the error.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::time::Duration;

/// A whole number that a function takes.
pub trait Argument {
    /// As Python knows the argument.
    const NAME: &'static str;
    /// The least that it may be.
    const LEAST: u64;
    /// The most.
    const MOST: u64;
    /// What holds it.
    type Value: TryFrom<u64>;
}

/// A number in its range.
pub struct Whole<A: Argument>(pub A::Value);

impl<'a, 'py, A: Argument> FromPyObject<'a, 'py> for Whole<A> {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let value = match object.extract::<u64>() {
            Ok(value) => Some(value).filter(|value| (A::LEAST..=A::MOST).contains(value)),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => None,
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                let kind = object.get_type().name()?;
                return Err(PyTypeError::new_err(format!("{} must be a whole number, not {kind}", A::NAME)));
            }
            Err(error) => return Err(error),
        };
        let value = value.and_then(|value| A::Value::try_from(value).ok());
        value.map(Whole).ok_or_else(|| out_of_range::<A>(&object))
    }
}

#[cold]
fn out_of_range<A: Argument>(given: &Bound<'_, PyAny>) -> PyErr {
    // Python does not write out a number of thousands of digits.
    let given = given.repr().map_or_else(|_| "a number that long".to_owned(), |text| text.to_string());
    PyValueError::new_err(format!("{} must be {} to {}, not {given}", A::NAME, A::LEAST, A::MOST))
}

/// A time in seconds, whatever it is.
pub struct Seconds(f64);

impl<'a, 'py> FromPyObject<'a, 'py> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.extract() {
            Ok(seconds) => Ok(Seconds(seconds)),
            // An integer that no floating-point number comes near.
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => Ok(Seconds(f64::INFINITY)),
            Err(error) => Err(error),
        }
    }
}

impl Seconds {
    /// The time, if it is above zero and at most so long.
    pub fn within(self, name: &str, most: u32) -> PyResult<Duration> {
        let Seconds(given) = self;
        if given > 0.0 && given <= f64::from(most) {
            Ok(Duration::from_secs_f64(given))
        } else {
            Err(PyValueError::new_err(format!("{name} must be above 0 and at most {most}, not {given}")))
        }
    }
}

macro_rules! arguments {
    ($($kind:ident: $name:literal, $value:ty, $least:literal..=$most:expr;)*) => {$(
        #[doc = concat!("`", $name, "`.")]
        pub struct $kind;

        impl Argument for $kind {
            const NAME: &'static str = $name;
            const LEAST: u64 = $least;
            const MOST: u64 = $most as u64;
            type Value = $value;
        }
    )*};
}

/// One more than the highest guest physical address.
const ADDRESSES: u64 = vgic_host::memory::ADDRESS_LIMIT;

// What a command holds, as far as its field reaches: what is too much for the ITS has an error of the architecture.
arguments! {
    DeviceId: "device_id", u32, 0..=u32::MAX;
    EventId: "event_id", u32, 0..=u32::MAX;
    EventBits: "event_bits", u32, 1..=32;
    IttAddress: "itt_address", u64, 0..=ADDRESSES - 1;
    Intid: "intid", u32, 0..=u32::MAX;
    CollectionId: "collection_id", u32, 0..=u32::MAX;
    RdBase: "vcpu", u32, 0..=u32::MAX;
    FromVcpu: "from_vcpu", u32, 0..=u32::MAX;
    ToVcpu: "to_vcpu", u32, 0..=u32::MAX;
}

// A VM and its memory.
arguments! {
    Vcpus: "vcpus", u32, 1..=vgic_core::vm::MAX_VCPUS;
    ListRegisters: "list_registers", usize, 1..=vgic_core::vcpu::MAX_LIST_REGISTERS;
    Distributor: "distributor", u64, 0..=ADDRESSES - 1;
    Redistributors: "redistributors", u64, 0..=ADDRESSES - 1;
    Count: "count", u32, 1..=u32::MAX;
    Levels: "levels", u32, 0..=u32::MAX;
    ItsBase: "its", u64, 0..=ADDRESSES - 1;
    Its: "its", usize, 0..=vgic_core::bus::MAX_ITS - 1;
    Vcpu: "vcpu", u32, 0..=vgic_core::vm::MAX_VCPUS - 1;
    Lpi: "intid", u32, 8192..=vgic_core::irq::INTID_LIMIT - 1;
    MappedLpi: "intid", u32, 8192..=u32::MAX;
    Byte: "byte", u8, 0..=u8::MAX;
    Table: "index", usize, 0..=1;
    EntryId: "entry_id", u32, 0..=u32::MAX;
    Doorbell: "doorbell", u64, 0..=u64::MAX;
    Address: "address", u64, 0..=u64::MAX;
    Size: "size", u64, 0..=u64::MAX;
    Offset: "offset", u64, 0..=u64::MAX;
    Value: "value", u64, 0..=u64::MAX;
}

// Runs: what is too much is refused below, which knows the other numbers.
arguments! {
    Devices: "devices", u32, 0..=u32::MAX;
    Events: "events", u32, 0..=u32::MAX;
    Mapped: "mapped", u32, 0..=u32::MAX;
    PathMapped: "mapped", u32, 0..=57343;
    Registers: "list_registers", u32, 0..=u32::MAX;
    Iterations: "iterations", u64, 0..=u64::MAX;
    Loops: "loops", u64, 0..=u64::MAX;
    Window: "window", u64, 0..=u64::MAX;
    Cpu: "cpu", usize, 0..=u32::MAX;
    OtherCpu: "other_cpu", usize, 0..=u32::MAX;
    Seed: "seed", u64, 0..=u64::MAX;
    Warmup: "warmup", u64, 0..=u64::MAX;
    Gap: "gap_ps", u64, 0..=u64::MAX;
    MsisPerCall: "msis_per_call", u32, 0..=u32::MAX;
    Trace: "trace", usize, 0..=u32::MAX;
    Queues: "queues", u32, 0..=u32::MAX;
    InFlight: "in_flight", u32, 0..=u32::MAX;
    Service: "service_ps", u64, 0..=u64::MAX;
    Network: "network_ps", u64, 0..=u64::MAX;
    Packet: "packet_ps", u64, 0..=u64::MAX;
    RxModeration: "rx_moderation_ps", u64, 0..=u64::MAX;
    TxModeration: "tx_moderation_ps", u64, 0..=u64::MAX;
    Client: "client_ps", u64, 0..=u64::MAX;
    Servers: "servers", u32, 0..=u32::MAX;
    Pipeline: "pipeline", u32, 0..=u32::MAX;
    MoviGap: "movi_ps", u64, 0..=u64::MAX;
    Requests: "requests", u64, 0..=u64::MAX;
    Threads: "threads", u32, 1..=vgic_sim::machine::MAX_CORES;
    Each: "each", u32, 1..=10_000;
    Preemptions: "preemptions", u32, 0..=8;
    Depth: "depth", u32, 1..=16;
    Executions: "executions", u64, 0..=u64::MAX;
    Findings: "findings", usize, 1..=64;
    ItsCount: "its", u32, 0..=u32::MAX;
    Senders: "senders", u32, 0..=u32::MAX;
}
