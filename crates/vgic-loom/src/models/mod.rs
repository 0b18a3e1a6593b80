//! [`MODELS`]: for each pair of orders, programs so small that all their executions can be tried.
//!
//! Each one runs the engine's own code. What it says must hold does hold as the engine is; what happens when an order is
//! taken away is in [`needed`](crate::needed).

mod bus;
mod cache;
pub mod enable;
mod hints;
mod kick;
pub mod latch;
mod list;
mod protocol;
mod refcount;
mod xarray;

use crate::platform::{Ctx, Loom};
use crate::stage::LoomStage;
use std::sync::Arc;
use vgic_core::designs::Composed;
use vgic_core::tables::{Fault, GuestTables};

type Guest = vgic_check::guest::Guest<Loom, LoomStage>;

/// A VM with so many vCPUs.
fn guest_of(ctx: &Ctx, design: &str, vcpus: u32) -> Arc<Guest> {
    Guest::new(ctx, LoomStage::new(Composed::named(design)), vcpus, 1)
}

/// A VM with one vCPU and one LPI, which is cached and not pending.
fn guest(ctx: &Ctx, design: &str) -> Arc<Guest> {
    guest_with(ctx, design, 1)
}

/// The same with so many vCPUs; the LPI is the first one's.
fn guest_with(ctx: &Ctx, design: &str, vcpus: u32) -> Arc<Guest> {
    let guest = guest_of(ctx, design, vcpus);
    guest.map(ctx, 0, 0, 0);
    guest.warm(ctx, &[0]);
    guest
}

/// LPI tables for who has no LPIs.
struct Tables;

impl GuestTables for Tables {
    fn config(&self, _intid: u32) -> Result<u8, Fault> {
        Ok(0)
    }
    fn pending_byte(&self, _vcpu: u32, _offset: u32) -> Result<u8, Fault> {
        Ok(0)
    }
    fn set_pending_byte(&self, _vcpu: u32, _offset: u32, _value: u8) -> Result<(), Fault> {
        Ok(())
    }
}

/// A program whose executions are all tried.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// What meets what.
    pub about: &'static str,
    /// One execution.
    pub run: fn(&Ctx),
}

macro_rules! models {
    ($($module:ident::$run:ident, $about:literal;)*) => {
        /// Every model.
        pub const MODELS: &[Model] = &[$(Model { name: stringify!($run), about: $about, run: $module::$run }),*];
    };
}

models! {
    xarray::store_in_a_new_leaf, "O-01: the first object of a tree, against a load";
    xarray::walk_beside_a_store, "O-01: the same, against a walk";
    xarray::growth_beside_a_load, "O-01: an object that makes the tree higher, against a load of the one below";
    xarray::collapse_beside_a_load, "O-01: an erase that leaves what another thread has stored, against a load";
    list::add_to_either_end, "O-02: elements that come to either end, against a walk";
    list::del_before_a_newcomer, "O-02: a removal that leads to what another thread has added, against a walk";
    list::del_between_two, "O-02: the same with an element in front of the one that goes";
    refcount::the_last_of_two_puts, "O-03: two threads that drop their references, the last one frees";
    refcount::found_at_zero, "O-03: a count that another thread finds at zero, and frees what it belongs to";
    refcount::put_unless_last, "O-03: a reference dropped only if it is not the last, against another";
    hints::a_fold_beside_a_discard, "O-03: a list register that is folded, against the last put of its LPI";
    kick::kick_or_stay_out, "O-04: an entry of the guest, against an MSI to the vCPU, up to 6.18";
    kick::kick_or_stay_out_6_19, "O-04: the same from 6.19 on, where each entry takes the lock of the ap_list";
    kick::wake_or_stay_up, "O-08: a vCPU that goes to sleep, against GICD_CTLR, which lets it see what is pending";
    kick::wake_or_see_it, "O-08: the same against an MSI";
    kick::kick_or_stay_out_hints, "O-04, O-11: an entry, against an MSI that gives a hint";
    kick::kick_or_stay_out_of_two, "O-04, O-11: the same, against two whose hints have one summary";
    kick::wake_or_see_it_hints, "O-08, O-11: a vCPU that goes to sleep, against an MSI that gives a hint";
    enable::off_when_rwp_is_clear, "O-05: EnableLPIs = 0, against who reads that RWP is clear and counts on it";
    enable::off_when_rwp_is_clear_patch_15, "O-05: the same with the cache of patch 15";
    enable::off_when_rwp_is_clear_hints, "O-05: the same with hints";
    enable::on_beside_a_send, "O-05: EnableLPIs = 1, against an MSI";
    enable::on_beside_a_send_hints, "O-05: the same with hints";
    enable::mapped_before_it_is_on, "O-05: MAPTI and GITS_CTLR = 1, against an MSI";
    enable::a_walk_behind_the_invalidation, "O-05: GITS_CTLR = 0, against an MSI that misses since the cache is empty";
    cache::a_hit_beside_an_insertion, "O-02, O-06: a hit without a lock, against the miss that fills the cache";
    cache::a_hit_beside_a_new_mapping, "O-02, O-06: a hit without a lock, against DISCARD, MAPTI and an MSI";
    bus::an_its_that_comes, "O-07: an ITS that is added, against an MSI to it";
    bus::a_first_its_that_comes, "O-07: the same where the first ITS is looked at before the bus";
    hints::a_look_beside_a_send, "O-10, O-11: a vCPU that clears the summary of an empty word, against an MSI whose hint is there";
    hints::a_look_at_the_top_beside_a_send, "O-11: the same a level higher";
    hints::a_look_beside_a_clear, "O-10: a vCPU that has found an LPI due, against CLEAR and an MSI";
    hints::what_a_device_wrote, "O-12: an LPI that is taken, against a write and an MSI that finds the LPI pending";
    hints::what_a_device_wrote_before_a_move, "O-12: the same beside MOVI, taken by the vCPU that it goes to";
    protocol::a_section_and_a_free, "R-02, R-03: a section that uses an object, against its unlinking, a grace period, and the free";
    protocol::two_sections_and_a_free, "R-02: the same with a second section behind the first";
    protocol::a_reader_that_registers_late, "R-05: the same with a thread that registers meanwhile";
    protocol::two_grace_periods_at_once, "R-01: the same with another grace period meanwhile";
    protocol::parked_and_woken_once, "R-08: a thread that parks, against one that wakes it";
    protocol::parked_and_woken_twice, "R-08: the same with two that wake it";
    protocol::told_elsewhere, "R-08: a thread that sleeps elsewhere, against two that wake it";
    latch::two_at_a_latch, "R-10: a mutex, and two that want it";
    latch::three_at_a_latch, "R-10: the same with three, so that two sleep";
    latch::a_reader_and_a_writer_at_a_gate, "R-11: a reader-writer lock, a reader and a writer";
}

/// The model of a name.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}
