//! Recordings that a replay must refuse, and reasons of differences.

use std::sync::Arc;
use vgic_host::Refused;
use vgic_lab::replay::{How, OPS, Program, Reason, Replay, Replayed};
use vgic_lab::sample::Length;
use vgic_lab::stress::{Failure, Mode};

fn rows(ops: &[(&str, [u64; 4])]) -> Vec<u64> {
    let number = |name: &str| OPS.iter().position(|op| *op == name).expect("an operation") as u64;
    ops.iter().flat_map(|(name, [a, b, c, d])| [number(name), 1, 0, *a, *b, *c, *d]).collect()
}

fn replay(design: &str, program: &Arc<Program>, mode: Mode, allow_unsound: bool) -> Result<(), Failure> {
    let replay = Replay { program, how: How::FlatOut(mode), length: Length::Iterations(1), list_registers: 4 };
    replay.run(design, allow_unsound, &mut |_| true).map(drop)
}

/// Turning LPIs off beside the running vCPU may use freed memory up to 7.1.7 (CVE-2026-72288), and from 7.0 to 7.2.9 by
/// what its exit remembers of the last LPI in a list register.
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
    assert!(matches!(replay("v7.1.8", &program, Mode::Live, false), Err(Failure::Refused(_))));
    assert_eq!(replay("v7.3", &program, Mode::Live, false), Ok(()));
}

/// A CLEAR stores a bit of the byte that the vCPU's exit stores, too, and without its lock (6.19 and newer).
#[test]
fn there_is_no_clear_beside_a_running_vcpu_in_designs_where_it_undoes_stores() {
    let program = Arc::new(Program::new(&rows(&[("clear", [0, 0, 0, 0])]), 1).expect("a program"));
    assert!(matches!(replay("v7.3", &program, Mode::Live, false), Err(Failure::Refused(Refused::Unsound("v7.3", _)))));
    assert_eq!(replay("v7.3", &program, Mode::Live, true), Ok(()));
    assert_eq!(replay("v7.3", &program, Mode::Lockstep, false), Ok(()));
    assert_eq!(replay("v6.10", &program, Mode::Live, false), Ok(()));
    assert_eq!(replay("hardened", &program, Mode::Live, false), Ok(()));
}

#[test]
fn a_program_with_a_bad_row_is_refused() {
    assert!(Program::new(&[1, 2, 3], 1).is_err(), "half a row");
    assert!(Program::new(&[OPS.len() as u64, 0, 0, 0, 0, 0, 0], 1).is_err(), "an unknown operation");
    assert!(Program::new(&rows(&[("acknowledge", [1, 8192, 0, 0])]), 1).is_err(), "a vCPU that is not there");
    assert!(Program::new(&rows(&[("msi", [1 << 32, 0, 0, 0])]), 1).is_err(), "a DeviceID of 33 bits");
}

fn as_recorded(rows: &[u64], list_registers: u32) -> Replayed {
    let program = &Arc::new(Program::new(rows, 2).expect("a program"));
    let replay = Replay { program, how: How::Recorded, length: Length::Iterations(1), list_registers };
    replay.run("v7.1.8", false, &mut |_| true).expect("a replay")
}

/// A guest with two vCPUs, and four events of which the first vCPU gets all.
fn booted() -> Vec<(&'static str, [u64; 4])> {
    let mut ops = vec![("its_enabled", [1, 0, 0, 0]), ("mapd", [8, 16, 1, 0])];
    for vcpu in 0..2 {
        ops.extend([("lpis_enabled", [vcpu, 1, 0, 0]), ("mapc", [vcpu, vcpu, 1, 0])]);
    }
    ops.extend((0..4).map(|event| ("mapti", [8, event, 8192 + event, 0])));
    ops
}

#[test]
fn an_lpi_that_is_moved_goes_over_at_once() {
    let mut ops = booted();
    ops.extend([("msi", [8, 0, 0, 0]), ("movi", [8, 0, 1, 0]), ("acknowledge", [1, 8192, 0, 0])]);
    let replayed = as_recorded(&rows(&ops), 4);
    assert_eq!(replayed.acknowledges[0].reason, Reason::Same);
    assert_eq!(replayed.left, []);
}

#[test]
fn a_tie_is_followed_also_beyond_the_list_registers() {
    let mut ops = booted();
    ops.extend((0..4).map(|event| ("msi", [8, event, 0, 0])));
    ops.extend((0..4).rev().map(|event| ("acknowledge", [0, 8192 + event, 0, 0])));
    for list_registers in [1, 4] {
        let replayed = as_recorded(&rows(&ops), list_registers);
        let reasons: Vec<_> = replayed.acknowledges.iter().map(|row| row.reason).collect();
        assert_eq!(reasons, [Reason::Tie, Reason::Tie, Reason::Tie, Reason::Same]);
        assert_eq!(replayed.left, []);
    }
}

#[test]
fn what_is_not_pending_here_is_not_taken() {
    let mut ops = booted();
    ops.extend([("msi", [8, 0, 0, 0]), ("acknowledge", [0, 8193, 0, 0]), ("acknowledge", [1, 8192, 0, 0])]);
    let replayed = as_recorded(&rows(&ops), 4);
    let answers: Vec<_> = replayed.acknowledges.iter().map(|row| (row.answered, row.reason)).collect();
    assert_eq!(answers, [(8192, Reason::Unexplained), (0, Reason::Missing)]);
    assert_eq!(replayed.left, [(0, 8192)]);
}

#[test]
fn a_reset_leaves_nothing_behind() {
    let mut ops = booted();
    ops.extend([("msi", [8, 0, 0, 0]), ("msi", [8, 1, 0, 0]), ("acknowledge", [0, 8192, 0, 0]), ("reset", [0; 4])]);
    ops.extend(booted());
    ops.extend([("msi", [8, 2, 0, 0]), ("acknowledge", [0, 8194, 0, 0])]);
    let replayed = as_recorded(&rows(&ops), 4);
    assert!(replayed.acknowledges.iter().all(|row| row.reason == Reason::Same), "{:?}", replayed.acknowledges);
    assert_eq!((replayed.left.len(), replayed.command_errors.len()), (0, 0));
    assert!(replayed.sample.adds_up());
}
