//! `GuestMemory`: guest memory in Python's buffers and behind Python's functions.
//!
//! A buffer is accessed without the interpreter lock, at any time, by any thread, while Python or another process
//! writes to it: like the memory of a guest. A function is called with the lock, which a thread of the engine may have
//! to wait for with a mutex of the engine's in its hands. So nobody waits for such a mutex with the interpreter lock.

use crate::arguments::{Address, Size, Value, Whole};
use crate::errors;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyLookupError, PyOSError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use vgic_core::tables::Fault;
use vgic_host::memory::{GuestMemory as Memory, MapError, Mapping, Region};

/// Bytes of the accesses that an aligned part is made of.
const WORD: usize = size_of::<u64>();

/// Guest physical memory: regions that do not overlap, each a buffer or a pair of functions.
#[pyclass(frozen, module = "vgic")]
pub struct GuestMemory(Arc<Memory>);

impl GuestMemory {
    pub fn share(&self) -> Arc<Memory> {
        Arc::clone(&self.0)
    }

    fn place(&self, address: u64, size: u64, region: Arc<dyn Region>) -> PyResult<()> {
        self.0.map(Mapping { address, size, region }).map_err(refused)
    }
}

fn refused(error: MapError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn fault(address: u64) -> impl Fn(Fault) -> PyErr {
    move |Fault| errors::fault_at(address)
}

#[pymethods]
impl GuestMemory {
    #[new]
    #[pyo3(signature = (regions = None))]
    fn new(regions: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let memory = GuestMemory(Arc::default());
        for (address, buffer) in regions.into_iter().flatten() {
            memory.map(address.extract()?, &buffer)?;
        }
        Ok(memory)
    }

    /// Places a writable, contiguous buffer, without a copy.
    fn map(&self, address: Whole<Address>, buffer: &Bound<'_, PyAny>) -> PyResult<()> {
        let buffer = Buffer::of(buffer, "buffer")?;
        if buffer.export.readonly() {
            return Err(PyValueError::new_err("buffer is read-only"));
        }
        self.place(address.0, buffer.len() as u64, Arc::new(buffer))
    }

    /// Places functions: `read(address, size)` returns the bytes, `write(address, data)` takes them.
    fn map_callbacks(
        &self,
        address: Whole<Address>,
        size: Whole<Size>,
        read: Py<PyAny>,
        write: Py<PyAny>,
    ) -> PyResult<()> {
        let address = address.0;
        self.place(address, size.0, Arc::new(Callbacks { address, read, write }))
    }

    /// Takes away the region that starts there.
    fn unmap(&self, address: Whole<Address>) -> PyResult<()> {
        self.0.unmap(address.0).map_err(refused)
    }

    /// Address and size of each region, by address.
    fn regions(&self) -> Vec<(u64, u64)> {
        self.0.regions().iter().map(|mapping| (mapping.address, mapping.size)).collect()
    }

    /// Whether every byte is in some region.
    fn contains(&self, address: Whole<Address>, size: Whole<Size>) -> bool {
        self.0.contains(address.0, size.0)
    }

    /// Reads bytes.
    fn read<'py>(&self, py: Python<'py>, address: Whole<Address>, size: Whole<Size>) -> PyResult<Bound<'py, PyBytes>> {
        let address = address.0;
        // First, as there may be no memory for an answer of that size.
        if !self.0.contains(address, size.0) {
            return Err(errors::fault_at(address));
        }
        PyBytes::new_with(py, size.0 as usize, |out| self.0.read(address, out).map_err(fault(address)))
    }

    /// Writes bytes; none if any of them is outside of all regions.
    fn write(&self, address: Whole<Address>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = Buffer::of(data, "data")?.bytes();
        self.0.write(address.0, &data).map_err(fault(address.0))
    }

    /// Reads eight bytes, little-endian.
    fn read_u64(&self, address: Whole<Address>) -> PyResult<u64> {
        self.0.read_u64(address.0).map_err(fault(address.0))
    }

    /// Writes eight bytes, little-endian.
    fn write_u64(&self, address: Whole<Address>, value: Whole<Value>) -> PyResult<()> {
        self.0.write_u64(address.0, value.0).map_err(fault(address.0))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for mapping in self.0.regions().iter() {
            if let Some(callbacks) = (*mapping.region).as_any().downcast_ref::<Callbacks>() {
                visit.call(&callbacks.read)?;
                visit.call(&callbacks.write)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        for mapping in self.0.regions().iter() {
            // Somebody else may have been faster.
            let _ = self.0.unmap(mapping.address);
        }
    }
}

/// The memory of a contiguous buffer, whatever its items are.
struct Buffer {
    export: PyUntypedBuffer,
}

impl Buffer {
    fn of(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Self> {
        let export = PyUntypedBuffer::get(object).map_err(|error| {
            if error.is_instance_of::<PyTypeError>(object.py()) {
                error
            } else {
                PyValueError::new_err(format!("{what}: {error}"))
            }
        })?;
        if !export.is_c_contiguous() {
            return Err(PyValueError::new_err(format!("{what} is not contiguous")));
        }
        Ok(Buffer { export })
    }

    fn len(&self) -> usize {
        self.export.len_bytes()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.copy_out(0, &mut bytes);
        bytes
    }

    /// The address of byte `offset`, at which `size` bytes are in the buffer.
    fn at(&self, offset: u64, size: usize) -> *mut u8 {
        assert!(offset as usize + size <= self.len(), "an access inside the region");
        self.export.buf_ptr().cast::<u8>().wrapping_add(offset as usize)
    }

    fn copy_out(&self, offset: u64, out: &mut [u8]) {
        let from = self.at(offset, out.len());
        // SAFETY: P-02: `at` has checked that these bytes are in the buffer, which is exported as long as `self` lives.
        let (head, words, tail) = unsafe { split(from, out.len()) };
        let (out_head, rest) = out.split_at_mut(head.len());
        let (out_words, out_tail) = rest.split_at_mut(words.len() * WORD);
        // Relaxed: what else happens to guest memory is not ordered by an access.
        let load = |(to, from): (&mut u8, &AtomicU8)| *to = from.load(Ordering::Relaxed);
        out_head.iter_mut().zip(head).for_each(load);
        out_tail.iter_mut().zip(tail).for_each(load);
        for (to, from) in out_words.chunks_exact_mut(WORD).zip(words) {
            to.copy_from_slice(&from.load(Ordering::Relaxed).to_ne_bytes());
        }
    }

    fn copy_in(&self, offset: u64, data: &[u8]) {
        let to = self.at(offset, data.len());
        // SAFETY: P-02: as above; `map` has refused a read-only buffer.
        let (head, words, tail) = unsafe { split(to, data.len()) };
        let (data_head, rest) = data.split_at(head.len());
        let (data_words, data_tail) = rest.split_at(words.len() * WORD);
        // Relaxed: as above.
        let store = |(to, from): (&AtomicU8, &u8)| to.store(*from, Ordering::Relaxed);
        head.iter().zip(data_head).for_each(store);
        tail.iter().zip(data_tail).for_each(store);
        for (to, from) in words.iter().zip(data_words.chunks_exact(WORD)) {
            let mut word = [0; WORD];
            word.copy_from_slice(from);
            to.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }
}

/// Memory as bytes, aligned words, and bytes.
///
/// # Safety
/// The `size` bytes at `start` may be read, and written where the caller stores, while the result is in use.
unsafe fn split<'a>(start: *mut u8, size: usize) -> (&'a [AtomicU8], &'a [AtomicU64], &'a [AtomicU8]) {
    // SAFETY: P-02: the caller's promise; an atomic is its integer in memory.
    unsafe { std::slice::from_raw_parts(start.cast::<AtomicU8>(), size).align_to() }
}

impl Region for Buffer {
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        self.copy_out(offset, out);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Fault> {
        self.copy_in(offset, data);
        Ok(())
    }
}

/// Memory behind two functions.
struct Callbacks {
    address: u64,
    read: Py<PyAny>,
    write: Py<PyAny>,
}

impl Callbacks {
    /// Calls a function. What it raises is a fault, and an accident unless it is what a function raises to say so.
    fn call(&self, function: &Py<PyAny>, f: impl FnOnce(Python<'_>) -> PyResult<()>) -> Result<(), Fault> {
        let answer = Python::try_attach(|py| {
            f(py).map_err(|error| {
                if !error.is_instance_of::<PyOSError>(py) && !error.is_instance_of::<PyLookupError>(py) {
                    error.write_unraisable(py, Some(function.bind(py)));
                }
                Fault
            })
        });
        // Nobody to ask: the interpreter ends.
        answer.unwrap_or(Err(Fault))
    }
}

impl Region for Callbacks {
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        self.call(&self.read, |py| {
            let answer = self.read.bind(py).call1((self.address + offset, out.len()))?;
            let answer = Buffer::of(&answer, "what a read callback returned")?;
            if answer.len() != out.len() {
                let text = format!("a read callback returned {} bytes instead of {}", answer.len(), out.len());
                return Err(PyValueError::new_err(text));
            }
            answer.copy_out(0, out);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Fault> {
        self.call(&self.write, |py| {
            self.write.bind(py).call1((self.address + offset, PyBytes::new(py, data))).map(drop)
        })
    }
}
