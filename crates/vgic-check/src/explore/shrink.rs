//! Shrinking: the same violation with fewer choices.

use super::run::{Batch, Ended, Function, run};
use super::strategy::Replay;
use crate::violation::Violation;
use core::cell::RefCell;
use std::rc::Rc;

/// Plays choices again, otherwise as in a batch.
pub(crate) fn replay(choices: &[(u32, u8)], like: &Batch, logged: bool, scenario: &Function) -> Option<Ended> {
    let strategy: Rc<RefCell<Replay>> = Rc::new(RefCell::new(Replay::new(choices.to_vec())));
    let batch = Batch { strategy, knowledge: Rc::clone(&like.knowledge), logged, executions: 1, ..*like };
    run(&batch, scenario).last
}

/// Leaves out choices as long as the violation stays.
pub(crate) fn shrink(
    choices: Vec<(u32, u8)>,
    like: &Violation,
    mut replay: impl FnMut(&[(u32, u8)]) -> Option<Ended>,
    mut goes_on: impl FnMut() -> bool,
) -> Vec<(u32, u8)> {
    let mut best = choices;
    let mut weight = usize::MAX;
    loop {
        let before = best.len();
        // Large pieces first, then single choices.
        let mut piece = (best.len() / 2).max(1);
        loop {
            let mut from = 0;
            while from < best.len() && goes_on() {
                let mut fewer = best.clone();
                fewer.drain(from..(from + piece).min(best.len()));
                let ended = replay(&fewer).filter(|ended| ended.violation.as_ref().is_some_and(|v| v.is_like(like)));
                match ended {
                    // What the execution really chose: choices that no longer fitted are gone.
                    Some(ended) if ended.choices.len() < best.len() && ended.choices.len() < weight => {
                        weight = ended.choices.len();
                        best = ended.choices;
                    }
                    _ => from += piece,
                }
            }
            if piece == 1 {
                break;
            }
            piece /= 2;
        }
        if best.len() == before || !goes_on() {
            return best;
        }
    }
}
