//! `machine_parameters`, and a machine from its dictionary.
//!
//! No parameter is named here: names, ranges and choices are those of [`Machine::PARAMETERS`].

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use vgic_sim::Machine;
use vgic_sim::machine::{Distance, MAX_CORES};
use vgic_sim::parameters::{Given, LONGEST, Parameter, Unit};

/// The machine of a dictionary that has a value for every parameter, the number of cores, and their distances.
pub fn machine(dict: &Bound<'_, PyDict>) -> PyResult<Machine> {
    MachineDict(dict).machine()
}

/// A machine as Python checked it; what is checked again here is what would break the simulator.
struct MachineDict<'a, 'py>(&'a Bound<'py, PyDict>);

impl<'py> MachineDict<'_, 'py> {
    fn item(&self, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.0.get_item(name)?.ok_or_else(|| PyValueError::new_err(format!("machine: no value for {name}")))
    }

    fn number(&self, name: &str) -> PyResult<u64> {
        self.item(name)?
            .extract()
            .map_err(|_| PyValueError::new_err(format!("machine: {name} must be a whole number that is not negative")))
    }

    fn small(&self, name: &str) -> PyResult<u32> {
        let value = self.number(name)?;
        u32::try_from(value)
            .map_err(|_| PyValueError::new_err(format!("machine: {name} must be at most {}, not {value}", u32::MAX)))
    }

    fn distance(&self, cores: u32) -> PyResult<Distance> {
        let matrix = self.item("matrix")?;
        if matrix.is_none() {
            let (cluster, socket) = (self.small("cluster")?, self.small("socket")?);
            if cluster == 0 || socket == 0 {
                return Err(PyValueError::new_err("machine: cluster and socket must be at least 1"));
            }
            let cost = [self.number("within_cluster")?, self.number("within_socket")?, self.number("across")?];
            if cost.iter().any(|cost| *cost > LONGEST) {
                return Err(PyValueError::new_err(
                    "machine: within_cluster, within_socket and across must be at most 10 s",
                ));
            }
            return Ok(Distance::Classes { cluster, socket, cost });
        }
        let matrix: Vec<u64> = matrix.extract()?;
        if matrix.len() != cores as usize * cores as usize || matrix.iter().any(|cost| *cost > LONGEST) {
            return Err(PyValueError::new_err("machine: the matrix must have cores x cores times of at most 10 s"));
        }
        Ok(Distance::Matrix(matrix))
    }

    fn machine(&self) -> PyResult<Machine> {
        let cores = self.small("cores")?;
        if !(1..=MAX_CORES).contains(&cores) {
            return Err(PyValueError::new_err(format!("machine: cores must be 1 to {MAX_CORES}, not {cores}")));
        }
        let mut machine = Machine { distance: self.distance(cores)?, ..Machine::flat(cores) };
        for parameter in Machine::PARAMETERS {
            let name = parameter.name;
            let set = match parameter.unit {
                Unit::Choice => parameter.set(&mut machine, Given::Choice(&self.item(name)?.extract::<String>()?)),
                _ => parameter.set(&mut machine, Given::Number(self.number(name)?)),
            };
            set.map_err(|why| PyValueError::new_err(format!("machine: {name} {why}")))?;
        }
        if machine.grace_period_min > machine.grace_period_max {
            return Err(PyValueError::new_err("machine: grace_period_min is above grace_period_max"));
        }
        Ok(machine)
    }
}

/// Everything that a machine has a value for but cores and distances, as `machine` of a prediction names it. Ranges are in
/// the unit; the core takes `scale` times the value in it, rounded.
#[pyfunction]
fn machine_parameters(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let row = |parameter: &Parameter| {
        let scale = parameter.unit.scale();
        let dict = PyDict::new(py);
        dict.set_item("name", parameter.name)?;
        dict.set_item("unit", parameter.unit.name())?;
        dict.set_item("scale", scale)?;
        dict.set_item("low", parameter.low as f64 / scale as f64)?;
        dict.set_item("high", parameter.high as f64 / scale as f64)?;
        dict.set_item("choices", parameter.choices.to_vec())?;
        dict.set_item("text", parameter.text)?;
        Ok(dict)
    };
    Machine::PARAMETERS.iter().map(row).collect()
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("MAX_CORES", MAX_CORES)?;
    m.add_function(wrap_pyfunction!(machine_parameters, m)?)
}
