//! [`Composed`]: a design as a value, a shipped one or one that somebody has put together.
//!
//! As users write it: a shipped design, then the axes that are to be different, `v6.10+drain=put-erased`.

use super::Design;
use super::series::spec;
use super::spec::{AXES, Spec};
use crate::cache::any::AnyCache;
use crate::platform::Platform;
use crate::queue::any::AnyQueue;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A design that is looked up when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Composed {
    name: &'static str,
    spec: &'static Spec,
}

impl Design for Composed {
    type Cache<P: Platform> = AnyCache<P>;
    type Queue<P: Platform> = AnyQueue<P>;
    fn spec(self) -> &'static Spec {
        self.spec
    }
    fn name(self) -> &'static str {
        self.name
    }
}

/// Why there is no such design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComposeError {
    /// No shipped design has the name in front.
    UnknownDesign(String),
    /// The rest, in a sentence.
    Wrong(String),
}

impl Composed {
    /// The design of a name, or of a name with axes. A composed one is kept for good, some hundred bytes: whoever takes
    /// many from elsewhere keeps the values and does not compose them again.
    pub fn new(text: &str) -> Result<Self, ComposeError> {
        let mut parts = text.split('+');
        let name = parts.next().unwrap_or_default();
        let Some((name, base)) = spec(name) else { return Err(ComposeError::UnknownDesign(name.to_string())) };
        let changes = parts.map(|part| part.split_once('=').ok_or(part)).collect::<Result<Vec<_>, _>>();
        let changes = changes.map_err(|part| {
            ComposeError::Wrong(format!("{part:?} is not AXIS=VALUE; a design is written as v6.10+drain=put-erased"))
        })?;
        if changes.is_empty() {
            return Ok(Composed { name, spec: base });
        }
        let spec = compose(base, &changes).map_err(|why| ComposeError::Wrong(format!("{text}: {why}")))?;
        Ok(Composed { name: Box::leak(text.into()), spec: Box::leak(Box::new(spec)) })
    }

    /// A shipped design; the name is one.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match spec(name) {
            Some((name, spec)) => Composed { name, spec },
            None => panic!("no design is called {name}"),
        }
    }

    /// Whether it is a shipped design, for which the engine can be compiled.
    pub fn is_shipped(&self) -> bool {
        spec(self.name).is_some()
    }

    /// A spec under a name.
    pub fn of(name: &'static str, spec: &'static Spec) -> Self {
        Composed { name, spec }
    }
}

/// A spec with some axes set, the kinds of cache and queue first, as others depend on them.
fn compose(base: &Spec, changes: &[(&str, &str)]) -> Result<Spec, String> {
    let mut spec = *base;
    let is_kind = |axis: &str| axis == "cache" || axis == "queue";
    let (kinds, rest): (Vec<_>, Vec<_>) = changes.iter().partition(|(axis, _)| is_kind(axis));
    for (at, (name, value)) in kinds.iter().chain(&rest).enumerate() {
        let axis = AXES.iter().find(|axis| axis.name == *name).ok_or_else(|| format!("there is no axis {name:?}"))?;
        if kinds.iter().chain(&rest).take(at).any(|(before, _)| before == name) {
            return Err(format!("{name} is set twice"));
        }
        match axis.set(&mut spec, value) {
            Some(true) => {}
            Some(false) => return Err(format!("{name}: this design has no such cache or queue")),
            None => {
                let names: Vec<_> = axis.choices.iter().map(|choice| choice.name).collect();
                return Err(format!("{name}: {value:?} is none of {}", names.join(", ")));
            }
        }
    }
    match spec.nonsense() {
        Some(why) => Err(why.to_string()),
        None => Ok(spec),
    }
}
