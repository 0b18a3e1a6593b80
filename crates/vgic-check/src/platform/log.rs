//! What is written down of an execution that is told as a story.

use super::field::{Field, Object};
use super::world::Wait;
use std::sync::Arc;

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) step: u32,
    pub(crate) thread: usize,
    pub(crate) did: Did,
}

/// What was done. Values are bits; of pointers, the address.
#[derive(Clone, Debug)]
pub(crate) enum Did {
    /// What a thread sets out to do.
    Note(String),
    /// What the engine counts.
    Event(&'static str),
    Read(Field, u64),
    /// Old and new value.
    Write(Field, u64, u64),
    /// The same by an exchange.
    Exchange(Field, u64, u64),
    /// The same by arithmetic.
    Add(Field, u64, u64),
    Lock(Field),
    Unlock(Field),
    Section(&'static str),
    Alloc(Arc<Object>),
    Free(Arc<Object>),
    /// What is to be freed, if it is known.
    CallRcu(Option<Arc<Object>>),
    Grace(&'static str),
    Park(Field),
    Unpark(Field),
    Wait(Wait),
    Switch {
        to: usize,
        preempted: bool,
    },
    Broke(String),
}

impl Did {
    /// The field that it is about.
    pub(crate) fn field(&self) -> Option<&Field> {
        match self {
            Did::Read(field, _) | Did::Write(field, ..) | Did::Exchange(field, ..) | Did::Add(field, ..) => Some(field),
            Did::Lock(field) | Did::Unlock(field) | Did::Park(field) | Did::Unpark(field) => Some(field),
            _ => None,
        }
    }
}
