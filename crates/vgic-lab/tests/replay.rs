//! Recordings that a replay must refuse.

use std::sync::Arc;
use vgic_host::Refused;
use vgic_lab::replay::{How, OPS, Program, Replay};
use vgic_lab::sample::Length;
use vgic_lab::stress::{Failure, Mode};

fn rows(ops: &[(&str, [u64; 4])]) -> Vec<u64> {
    let number = |name: &str| OPS.iter().position(|op| *op == name).expect("an operation") as u64;
    ops.iter().flat_map(|(name, [a, b, c, d])| [number(name), 1, *a, *b, *c, *d]).collect()
}

fn replay(design: &str, program: &Arc<Program>, mode: Mode, allow_unsound: bool) -> Result<(), Failure> {
    let replay = Replay { program, how: How::FlatOut(mode), length: Length::Iterations(1), list_registers: 4 };
    replay.run(design, allow_unsound, &mut |_| true).map(drop)
}

/// Turning LPIs off beside the running vCPU may use freed memory up to 7.1.7 (CVE-2026-72288).
#[test]
fn lpis_are_not_turned_off_beside_a_running_vcpu_in_designs_with_that_race() {
    let off = rows(&[("lpis_enabled", [0, 1, 0, 0]), ("lpis_enabled", [0, 0, 0, 0])]);
    let program = Arc::new(Program::new(&off, 1).expect("a program"));
    assert!(matches!(
        replay("v6.10", &program, Mode::Live, false),
        Err(Failure::Refused(Refused::Unsound("v6.10", _)))
    ));
    assert_eq!(replay("v6.10", &program, Mode::Live, true), Ok(()));
    assert_eq!(replay("v6.10", &program, Mode::Lockstep, false), Ok(()));
    assert_eq!(replay("v7.1.8", &program, Mode::Live, false), Ok(()));
}

#[test]
fn a_program_with_a_bad_row_is_refused() {
    assert!(Program::new(&[1, 2, 3], 1).is_err(), "half a row");
    assert!(Program::new(&[OPS.len() as u64, 0, 0, 0, 0, 0], 1).is_err(), "an unknown operation");
    assert!(Program::new(&rows(&[("acknowledge", [1, 8192, 0, 0])]), 1).is_err(), "a vCPU that is not there");
    assert!(Program::new(&rows(&[("msi", [1 << 32, 0, 0, 0])]), 1).is_err(), "a DeviceID of 33 bits");
}
