//! [`Bounded`]: every schedule with at most so many preemptions, depth first.
//!
//! A preemption takes the turn from a thread that could go on; a switch where a thread waits, yields or ends is free
//! (Musuvathi and Qadeer, "Iterative context bounding", 2007). Most defects need one or two.

use super::strategy::{Decision, Strategy};

/// A decision on the way of the present execution.
#[derive(Debug)]
struct Node {
    step: u32,
    /// Who could go on, the usual one first; all behind `at` are still to be tried.
    options: Vec<u8>,
    at: usize,
    /// Preemptions spent before, and whether the others cost one.
    spent: u32,
    preempts: bool,
}

/// The search.
#[derive(Debug)]
pub(crate) struct Bounded {
    bound: u32,
    nodes: Vec<Node>,
    cursor: usize,
    spent: u32,
    begun: bool,
    knowledge: u32,
}

impl Bounded {
    pub(crate) fn new(bound: u32) -> Self {
        Bounded { bound, nodes: Vec::new(), cursor: 0, spent: 0, begun: false, knowledge: 0 }
    }
}

impl Strategy for Bounded {
    fn next(&mut self, knowledge: u32) -> bool {
        self.cursor = 0;
        self.spent = 0;
        if !self.begun || knowledge != self.knowledge {
            // More accesses matter than was known: begin again.
            self.begun = true;
            self.knowledge = knowledge;
            self.nodes.clear();
            return true;
        }
        while let Some(node) = self.nodes.last_mut() {
            if node.at + 1 < node.options.len() {
                node.at += 1;
                return true;
            }
            self.nodes.pop();
        }
        false
    }

    fn choose(&mut self, decision: &Decision<'_>) -> usize {
        let preempts = decision.current.is_some();
        if preempts && self.spent >= self.bound {
            return decision.default;
        }
        if let Some(node) = self.nodes.get(self.cursor) {
            let chosen = usize::from(node.options[node.at]);
            // Something was learnt in this execution, which made a new place: the search begins again anyway.
            if node.step != decision.step || !decision.options.contains(&chosen) {
                return decision.default;
            }
            self.cursor += 1;
            self.spent = node.spent + u32::from(node.preempts && node.at > 0);
            return chosen;
        }
        let mut options = vec![decision.default as u8];
        options.extend(decision.options.iter().filter(|id| **id != decision.default).map(|id| *id as u8));
        self.nodes.push(Node { step: decision.step, options, at: 0, spent: self.spent, preempts });
        self.cursor += 1;
        decision.default
    }
}
