//! Sends MSIs round after round, for counting instructions under callgrind; see `benches/figures/instructions.py`.
//!
//! `vgic-instructions DESIGN DEVICES EVENTS ROUNDS [MODE]`; MODE is `senders` (default) or `lockstep`.

use std::process::ExitCode;
use vgic_core::Platform;
use vgic_lab::bench::Guest;
use vgic_lab::sample::Length;
use vgic_lab::stress::{Mode, Stress};
use vgic_native::{Native, NativeCtx};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| args.get(index).and_then(|arg| arg.parse::<u32>().ok());
    let (Some(design), Some(devices), Some(events), Some(rounds)) = (args.first(), number(1), number(2), number(3))
    else {
        eprintln!("usage: vgic-instructions DESIGN DEVICES EVENTS ROUNDS [senders|lockstep]");
        return ExitCode::from(2);
    };
    let load = Stress {
        vcpus: 1,
        devices,
        events,
        length: Length::OneBlock(u64::from(rounds)),
        mode: if args.get(4).is_some_and(|mode| mode == "lockstep") { Mode::Lockstep } else { Mode::Senders },
        guest: Guest::Fixed,
        list_registers: 4,
        mapped: 0,
        window: 0,
        churn: false,
        allow_unsound: true,
    };
    let result = load.run(design, &mut |_| true);
    // All that was left to be freed later is freed in every run, so that it cancels between two of them.
    Native::rcu_barrier(&NativeCtx::new("main"));
    match result {
        Ok(sample) => {
            println!("{} sends, {:.2} ns each", sample.accepted, sample.cpu.as_nanos() as f64 / sample.accepted as f64);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("vgic-instructions: {failure:?}");
            ExitCode::from(1)
        }
    }
}
