//! [`Knowledge`]: at which accesses another thread could make a difference. Learnt, and kept from execution to execution.
//!
//! A field matters if two threads touch it, one of them writes, and no lock is held at every access (Eraser's rule): what
//! a lock protects cannot be reached between its acquisition and its release, so it is enough to let others run before
//! the lock is taken, and a lock is a field here, too. An object that is freed beside others matters at each first touch
//! after a thread has let go of something. What is known only grows; whoever searches exhaustively begins again then.

use crate::platform::field::{Access, Field};
use crate::platform::locks::{Held, Mode};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A field: number of the object, number of the field.
type Location = (u32, u16);

#[derive(Debug, Default)]
struct Known {
    touched: u16,
    written: u16,
    racy: bool,
    /// Locks that were held at every access so far.
    locks: Option<Vec<Location>>,
}

/// What was learnt.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    objects: HashMap<(&'static str, u32), u32>,
    fields: Vec<Vec<Known>>,
    mortal: HashSet<u32>,
    version: u32,
    bare: BTreeSet<String>,
}

impl Knowledge {
    /// Changes whenever something is learnt.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// Fields with plain data that several threads touch, at least one writing, without a common lock.
    pub(crate) fn bare(&self) -> Vec<String> {
        self.bare.iter().cloned().collect()
    }

    /// The number of an object, and whether it was freed beside others before.
    pub(crate) fn meet(&mut self, class: &'static str, serial: u32) -> (u32, bool) {
        let next = self.fields.len() as u32;
        let known = *self.objects.entry((class, serial)).or_insert(next);
        if known == next {
            self.fields.push(Vec::new());
        }
        (known, self.mortal.contains(&known))
    }

    pub(crate) fn set_mortal(&mut self, known: u32) {
        if self.mortal.insert(known) {
            self.version += 1;
        }
    }

    /// An access; whether others should have the chance to run before it.
    pub(crate) fn touch(&mut self, field: &Field, thread: usize, access: Access, held: &[Held]) -> bool {
        let fields = &mut self.fields[field.object.known as usize];
        let ordinal = usize::from(field.ordinal);
        if fields.len() <= ordinal {
            fields.resize_with(ordinal + 1, Known::default);
        }
        let known = &mut fields[ordinal];
        if known.racy {
            return true;
        }
        known.touched |= 1 << thread;
        if access.writes() {
            known.written |= 1 << thread;
        }
        // What is held for reading only protects from writers.
        let protects = held.iter().filter(|held| !access.writes() || held.mode == Mode::Alone);
        let lock = |held: &Held| (held.lock.field.object.known, held.lock.field.ordinal);
        match &mut known.locks {
            Some(common) => common.retain(|at| protects.clone().any(|held| lock(held) == *at)),
            none => *none = Some(protects.map(lock).collect()),
        }
        let unprotected = known.locks.as_ref().is_none_or(Vec::is_empty);
        known.racy = unprotected && known.written != 0 && known.touched.count_ones() > 1;
        if known.racy {
            self.version += 1;
            if access.is_plain() {
                self.bare.insert(format!("{}.{}", field.object.class, field.name));
            }
        }
        known.racy
    }
}
