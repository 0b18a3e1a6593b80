//! [`Operation`]: one thing that a guest, a device or a VMM does, as a value: drawn, or read from a text.

use super::{EVENTS, Guest, mapd};
use crate::stage::Stage;
use core::str::FromStr;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Platform};

/// LPIs and collections that a text may name.
const LPIS: u32 = 32;

/// See the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An MSI.
    Send {
        /// To this ITS.
        its: usize,
        /// Its EventID.
        event: u32,
    },
    /// An MSI as an interrupt of the host sends it: only if its translation is cached.
    SendCached {
        /// To this ITS.
        its: usize,
        /// Its EventID.
        event: u32,
    },
    /// A vCPU enters the guest, takes what it sees, and exits.
    Run {
        /// The vCPU.
        vcpu: u32,
    },
    /// All vCPUs take what there is.
    Drain,
    /// A command; without effect while the ITS is off.
    Command {
        /// Of this ITS.
        its: usize,
        /// The command.
        command: Command,
    },
    /// GITS_CTLR.Enabled.
    Its {
        /// Of this ITS.
        its: usize,
        /// The bit.
        on: bool,
    },
    /// GICR_CTLR.EnableLPIs.
    Lpis {
        /// Of this vCPU.
        vcpu: u32,
        /// The bit.
        on: bool,
    },
    /// The enable bit of an LPI in the configuration table.
    Configure {
        /// The LPI, from 0.
        lpi: u32,
        /// The bit.
        on: bool,
    },
    /// The VMM saves the pending tables.
    Save,
    /// An allocation fails: the one after so many.
    FailAllocation {
        /// How many succeed before.
        after: u64,
    },
}

/// How each operation is written.
pub const WORDS: &[&str] = &[
    "send EVENT [ITS]",
    "send-cached EVENT [ITS]",
    "run VCPU",
    "drain",
    "mapti EVENT LPI COLLECTION [ITS]",
    "movi EVENT COLLECTION [ITS]",
    "discard EVENT [ITS]",
    "clear EVENT [ITS]",
    "int EVENT [ITS]",
    "inv EVENT [ITS]",
    "invall COLLECTION [ITS]",
    "movall VCPU VCPU [ITS]",
    "mapc COLLECTION VCPU|off [ITS]",
    "mapd on|off [ITS]",
    "its on|off [ITS]",
    "lpis on|off VCPU",
    "configure LPI on|off",
    "save",
    "fail-allocation AFTER",
];

impl Operation {
    /// Does it. What the guest does, it does as vCPU `vcpu`, which does not run meanwhile.
    #[inline(never)]
    pub fn execute<P: Platform, S: Stage<P>>(self, guest: &Guest<P, S>, ctx: &P::Ctx, vcpu: u32) {
        let of = |its: usize| its.min(guest.its.len() - 1);
        match self {
            Operation::Send { its, event } => {
                let _ = guest.send_to(ctx, of(its), event);
            }
            Operation::SendCached { its, event } => {
                let _ = guest.send_cached_to(ctx, of(its), event);
            }
            Operation::Run { vcpu } => {
                let _ = guest.run(ctx, vcpu);
            }
            Operation::Drain => guest.drain(ctx),
            Operation::Save => guest.save_pending(ctx),
            Operation::FailAllocation { after } => guest.stage.fail_allocation(ctx, after),
            Operation::Configure { lpi, on } => guest.configure(ctx, lpi, on),
            Operation::Command { its, command } => {
                let _stopped = guest.vm.run_vcpu(ctx, vcpu);
                if guest.its[of(its)].is_enabled(ctx) {
                    let _ = guest.command_to(ctx, of(its), command);
                }
            }
            Operation::Its { its, on } => {
                let _stopped = guest.vm.run_vcpu(ctx, vcpu);
                guest.set_its(ctx, of(its), on);
            }
            Operation::Lpis { vcpu: of, on } => {
                let _stopped = guest.vm.run_vcpu(ctx, vcpu);
                guest.set_lpis(ctx, of, on);
            }
        }
    }

    /// One operation of a VM with so many vCPUs and ITSes, from its words.
    pub fn read(line: &str, vcpus: u32, its_count: u64) -> Result<Operation, String> {
        let mut words = Words { line, left: line.split_whitespace(), vcpus, its_count };
        let verb = words.left.next().unwrap_or_default();
        let operation = match verb {
            "send" => {
                let event = words.event()?;
                Operation::Send { its: words.its()?, event }
            }
            "send-cached" => {
                let event = words.event()?;
                Operation::SendCached { its: words.its()?, event }
            }
            "run" => Operation::Run { vcpu: words.vcpu()? },
            "drain" => Operation::Drain,
            "save" => Operation::Save,
            "fail-allocation" => Operation::FailAllocation { after: words.number("AFTER", 1 << 20)? },
            "configure" => {
                let lpi = words.number("LPI", LPIS)?;
                Operation::Configure { lpi, on: words.switch()? }
            }
            "its" => {
                let on = words.switch()?;
                Operation::Its { its: words.its()?, on }
            }
            "lpis" => {
                let on = words.switch()?;
                Operation::Lpis { vcpu: words.vcpu()?, on }
            }
            _ => {
                let command = words.command(verb)?;
                Operation::Command { its: words.its()?, command }
            }
        };
        match words.left.next() {
            Some(word) => Err(format!("{word:?} is too much: {}", words.how())),
            None => Ok(operation),
        }
    }
}

/// The words of a line that are left.
struct Words<'a> {
    line: &'a str,
    left: core::str::SplitWhitespace<'a>,
    vcpus: u32,
    its_count: u64,
}

impl Words<'_> {
    fn how(&self) -> String {
        let verb = self.line.split_whitespace().next().unwrap_or_default();
        let known = WORDS.iter().find(|words| words.split(' ').next() == Some(verb));
        known.map_or_else(|| "no such operation".to_owned(), |words| format!("it is written {words}"))
    }

    fn word(&mut self, what: &str) -> Result<&str, String> {
        match self.left.next() {
            Some(word) => Ok(word),
            None => Err(format!("{what} is missing: {}", self.how())),
        }
    }

    /// A number below a limit.
    fn number<T: FromStr + PartialOrd + core::fmt::Display>(&mut self, what: &str, below: T) -> Result<T, String> {
        let word = self.word(what)?;
        let number = word.parse::<T>().ok().filter(|number| *number < below);
        number.ok_or_else(|| format!("{what} must be a number below {below}, not {word:?}"))
    }

    fn event(&mut self) -> Result<u32, String> {
        self.number("EVENT", EVENTS)
    }

    fn vcpu(&mut self) -> Result<u32, String> {
        self.number("VCPU", self.vcpus)
    }

    fn its(&mut self) -> Result<usize, String> {
        match self.left.clone().next() {
            Some(_) => Ok(self.number("ITS", self.its_count)? as usize),
            None => Ok(0),
        }
    }

    fn switch(&mut self) -> Result<bool, String> {
        match self.word("on or off")? {
            "on" => Ok(true),
            "off" => Ok(false),
            word => Err(format!("it must be on or off, not {word:?}")),
        }
    }

    fn command(&mut self, verb: &str) -> Result<Command, String> {
        let device_id = 0;
        Ok(match verb {
            "mapti" => {
                let (event_id, lpi) = (self.event()?, self.number("LPI", LPIS)?);
                let collection_id = self.number("COLLECTION", LPIS)?;
                Command::Mapti { device_id, event_id, intid: FIRST_LPI + lpi, collection_id }
            }
            "movi" => {
                let event_id = self.event()?;
                Command::Movi { device_id, event_id, collection_id: self.number("COLLECTION", LPIS)? }
            }
            "discard" => Command::Discard { device_id, event_id: self.event()? },
            "clear" => Command::Clear { device_id, event_id: self.event()? },
            "int" => Command::Int { device_id, event_id: self.event()? },
            "inv" => Command::Inv { device_id, event_id: self.event()? },
            "invall" => Command::Invall { collection_id: self.number("COLLECTION", LPIS)? },
            "movall" => {
                let from_vcpu = self.vcpu()?;
                Command::Movall { from_vcpu, to_vcpu: self.vcpu()? }
            }
            "mapc" => {
                let collection_id = self.number("COLLECTION", LPIS)?;
                if self.left.clone().next() == Some("off") {
                    self.left.next();
                    Command::Mapc { collection_id, vcpu: 0, valid: false }
                } else {
                    Command::Mapc { collection_id, vcpu: self.vcpu()?, valid: true }
                }
            }
            "mapd" => mapd(self.switch()?),
            _ => {
                let verbs: Vec<_> = WORDS.iter().filter_map(|words| words.split(' ').next()).collect();
                return Err(format!("{verb:?} is no operation: there are {}", verbs.join(", ")));
            }
        })
    }
}
