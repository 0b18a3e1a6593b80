//! `prove`: one scenario in one design under the model checker.

use crate::arguments::{Depth, Executions, Findings, Preemptions, Seconds, Seed, Whole};
use crate::errors;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use vgic_check::guest::operation::WORDS;
use vgic_check::story::{Kind, Story};
use vgic_check::{End, Failed, Options, Report, SCENARIOS, Script, Search, check, check_script, trace_script};
use vgic_core::designs::Composed;

/// Name, what meets what, and bound of each scenario.
#[pyfunction]
fn scenarios() -> Vec<(&'static str, &'static str, &'static str)> {
    SCENARIOS.iter().map(|entry| (entry.name, entry.about, entry.bound)).collect()
}

#[pyfunction]
#[pyo3(signature = (scenario, design, *, search, preemptions, depth, seed, executions, seconds, schedule, script,
    findings, stop))]
#[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
fn prove<'py>(
    py: Python<'py>,
    scenario: &str,
    design: &str,
    search: &str,
    preemptions: Whole<Preemptions>,
    depth: Whole<Depth>,
    seed: Whole<Seed>,
    executions: Option<Whole<Executions>>,
    seconds: Seconds,
    schedule: Option<String>,
    script: Option<&str>,
    findings: Whole<Findings>,
    stop: Py<PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let time = seconds.within("seconds", 86400)?;
    let search = match (search, schedule) {
        (_, Some(schedule)) => Search::Replay(schedule),
        ("bounded", None) => Search::Bounded { preemptions: preemptions.0 },
        ("random", None) => Search::Random,
        ("pct", None) => Search::Pct { depth: depth.0 },
        (other, None) => {
            return Err(PyValueError::new_err(format!("search must be bounded, random or pct, not {other:?}")));
        }
    };
    let executions = executions.map_or(u64::MAX, |executions| executions.0);
    let time = Some(time);
    let options = Options { search, seed: seed.0, executions, time, findings: findings.0, ..Options::default() };
    let composed = Composed::new(design).map_err(|error| errors::refused(error.into()))?;
    let script = script.map(Script::read).transpose();
    let script = script.map_err(|why| PyValueError::new_err(format!("{scenario}: {why}")))?;
    let mut raised = None;
    let report = py.detach(|| {
        let raised = core::cell::RefCell::new(&mut raised);
        let stopped = || {
            let asked = Python::attach(|py| {
                py.check_signals()?;
                stop.call0(py)?.extract::<bool>(py)
            });
            asked.unwrap_or_else(|error| {
                **raised.borrow_mut() = Some(error);
                true
            })
        };
        match script {
            Some(script) => check_script(scenario, script, composed, &options, &stopped),
            None => check(scenario, composed, &options, &stopped),
        }
    });
    if let Some(error) = raised {
        return Err(error);
    }
    let report = report.map_err(|failed| refused(failed, scenario, design, options.seed))?;
    report_dict(py, &report)
}

fn refused(failed: Failed, scenario: &str, design: &str, seed: u64) -> PyErr {
    match failed {
        Failed::Unknown => PyValueError::new_err(format!("no scenario {scenario:?}")),
        Failed::Schedule => {
            PyValueError::new_err("the schedule is not one that vgic has printed: [PROGRAM/]STEP:THREAD,...")
        }
        Failed::Misfit(misfit) => PyValueError::new_err(format!(
            "the schedule is not one of {scenario} in {design} with seed {seed}: {misfit}"
        )),
    }
}

/// One execution of a scenario that is a text, told from its beginning to its end.
#[pyfunction]
fn trace<'py>(
    py: Python<'py>,
    scenario: &str,
    design: &str,
    script: &str,
    schedule: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let composed = Composed::new(design).map_err(|error| errors::refused(error.into()))?;
    let script = Script::read(script).map_err(|why| PyValueError::new_err(format!("{scenario}: {why}")))?;
    let options = Options::default();
    let told = py.detach(|| trace_script(scenario, script, composed, schedule, &options));
    let story = told.map_err(|failed| refused(failed, scenario, design, options.seed))?;
    story_dict(py, &story)
}

fn report_dict<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("executions", report.executions)?;
    dict.set_item("exhausted", report.exhausted)?;
    dict.set_item("complete", report.complete())?;
    let ended = match report.end {
        End::Complete => "complete",
        End::Found => "found",
        End::Executions => "executions",
        End::Time => "seconds",
        End::Stopped => "stopped",
    };
    dict.set_item("ended", ended)?;
    dict.set_item("longest", report.longest)?;
    dict.set_item("bare", &report.bare)?;
    dict.set_item("seconds", report.time.as_secs_f64())?;
    let stories = report.stories.iter().map(|story| story_dict(py, story)).collect::<PyResult<Vec<_>>>()?;
    dict.set_item("stories", stories)?;
    Ok(dict)
}

fn story_dict<'py>(py: Python<'py>, story: &Story) -> PyResult<Bound<'py, PyDict>> {
    let lines = PyList::empty(py);
    for line in &story.lines {
        let kind = match line.kind {
            Kind::Operation => "operation",
            Kind::Step => "step",
            Kind::Waits => "waits",
            Kind::Preempted => "preempted",
            Kind::Broken => "broken",
        };
        let access = line.access.as_ref().map(|does| (does.kind, &does.object, &does.member, does.changes));
        lines.append((line.step, line.thread, kind, &line.text, line.told, line.function, access))?;
    }
    let dict = PyDict::new(py);
    dict.set_item("scenario", &story.scenario)?;
    dict.set_item("design", &story.design)?;
    dict.set_item("rule", story.rule.text())?;
    dict.set_item("what", &story.what)?;
    dict.set_item("operation", &story.operation)?;
    dict.set_item("execution", story.met.execution)?;
    dict.set_item("found_seconds", story.met.time.as_secs_f64())?;
    dict.set_item("times", story.met.times)?;
    dict.set_item("threads", &story.threads)?;
    dict.set_item("before", &story.before)?;
    dict.set_item("lines", lines)?;
    let states = PyList::empty(py);
    for (line, state) in &story.states {
        let lpis = PyList::empty(py);
        for lpi in &state.lpis {
            // Of what is known; -1 is none.
            let target = lpi.target.map(|target| target.map_or(-1, i64::from));
            lpis.append((
                lpi.intid,
                &lpi.name,
                lpi.references,
                lpi.vcpu,
                target,
                lpi.pending,
                lpi.enabled,
                lpi.active,
                lpi.indexed,
                lpi.mapped,
                lpi.cached,
            ))?;
        }
        let registers = state.registers.iter().map(|lr| (lr.vcpu, lr.intid, lr.pending, lr.active));
        states.append((line, lpis, registers.collect::<Vec<_>>()))?;
    }
    dict.set_item("states", states)?;
    dict.set_item("objects", story.objects.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    dict.set_item("preemptions", story.preemptions)?;
    dict.set_item("schedule", &story.schedule)?;
    Ok(dict)
}

/// How each operation of a scenario file is written.
#[pyfunction]
fn scenario_words() -> Vec<&'static str> {
    WORDS.to_vec()
}

pub fn add(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(scenarios, m)?)?;
    m.add_function(wrap_pyfunction!(scenario_words, m)?)?;
    m.add_function(wrap_pyfunction!(trace, m)?)?;
    m.add_function(wrap_pyfunction!(prove, m)?)
}
