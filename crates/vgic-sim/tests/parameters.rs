//! The list of a machine's parameters is what a machine is set by.

use std::collections::BTreeSet;
use vgic_sim::Machine;
use vgic_sim::machine::{Atomics, SpinLocks};
use vgic_sim::parameters::{Given, Unit};

#[test]
fn each_parameter_takes_its_range_and_nothing_else() {
    let flat = Machine::flat(4);
    for parameter in Machine::PARAMETERS.iter().filter(|parameter| parameter.unit != Unit::Choice) {
        let name = parameter.name;
        let mut values = Vec::new();
        for value in [parameter.low, parameter.high] {
            let mut machine = flat.clone();
            assert_eq!(parameter.set(&mut machine, Given::Number(value)), Ok(()), "{name}");
            values.push(machine);
        }
        assert!(values[0] != values[1], "{name}: sets nothing");
        let mut machine = flat.clone();
        let most = format!("must be at most {}, not {}", parameter.high, parameter.high + 1);
        assert_eq!(parameter.set(&mut machine, Given::Number(parameter.high + 1)), Err(most), "{name}");
        if let Some(less) = parameter.low.checked_sub(1) {
            let least = format!("must be at least {}, not {less}", parameter.low);
            assert_eq!(parameter.set(&mut machine, Given::Number(less)), Err(least), "{name}");
        }
        assert_eq!(parameter.set(&mut machine, Given::Choice("near")), Err("must be a number".to_owned()), "{name}");
        assert_eq!(machine, flat, "{name}: what was refused was set");
    }
}

#[test]
fn a_choice_takes_its_names_only() {
    let find = |name| Machine::PARAMETERS.iter().find(|parameter| parameter.name == name).unwrap();
    let mut machine = Machine::flat(4);
    assert_eq!(find("atomics").set(&mut machine, Given::Choice("llsc")), Ok(()));
    assert_eq!(find("spin_locks").set(&mut machine, Given::Choice("ticket")), Ok(()));
    assert_eq!((machine.atomics, machine.spin_locks), (Atomics::LlSc, SpinLocks::Ticket));
    let why = "must be one of near, far-store, llsc, not \"far\"".to_owned();
    assert_eq!(find("atomics").set(&mut machine, Given::Choice("far")), Err(why));
    assert_eq!(find("atomics").set(&mut machine, Given::Number(0)), Err("must be a name".to_owned()));
    assert_eq!(machine.atomics, Atomics::LlSc);
}

#[test]
fn each_name_is_there_once() {
    let names: BTreeSet<_> = Machine::PARAMETERS.iter().map(|parameter| parameter.name).collect();
    assert_eq!(names.len(), Machine::PARAMETERS.len());
}
