//! [`ORDERS`]: every place that asks for an order, and the model that fails without it, or why none can.
//!
//! The test `every_order_is_needed` takes each order away in turn. It compares this table with the places that the models
//! meet, and with the source: a place that is missing here fails it, and so does one that is here and nowhere else.

use crate::weaken::Side::{self, Acquire, Full, Release};

/// What happens without an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// This model fails.
    Fails(&'static str),
    /// No model fails, and nobody relies on the order; why.
    Nothing(&'static str),
    /// No model meets the order; why.
    Unmet(&'static str),
}

/// One order.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its pair.
    pub pair: &'static str,
    /// What is asked for.
    pub side: Side,
    /// Where: the file below `src`, the function, and a number where the function asks for the same more than once.
    pub place: &'static str,
    /// What happens without it.
    pub without: Without,
}

const fn fails(pair: &'static str, side: Side, place: &'static str, model: &'static str) -> Asked {
    Asked { pair, side, place, without: Without::Fails(model) }
}

const fn nothing(pair: &'static str, side: Side, place: &'static str, why: &'static str) -> Asked {
    Asked { pair, side, place, without: Without::Nothing(why) }
}

const fn unmet(pair: &'static str, side: Side, place: &'static str, why: &'static str) -> Asked {
    Asked { pair, side, place, without: Without::Unmet(why) }
}

const LOOP: &str = "who halts looks at the mode again and again, and loom has executions in which that never ends";

/// Every order that is not relaxed. Both halves of R-03 are the fences that the models pass in.
pub const ORDERS: &[Asked] = &[
    fails("O-01", Acquire, "xarray/read.rs walk", "store_in_a_new_leaf"),
    fails("O-01", Acquire, "xarray/read.rs walk 2", "store_in_a_new_leaf"),
    fails("O-01", Acquire, "xarray/read.rs search", "walk_beside_a_store"),
    fails("O-01", Acquire, "xarray/read.rs scan", "walk_beside_a_store"),
    fails("O-01", Release, "xarray/shape.rs create", "store_in_a_new_leaf"),
    fails("O-01", Release, "xarray/shape.rs grow", "store_in_a_new_leaf"),
    fails("O-01", Release, "xarray/shape.rs grow 2", "growth_beside_a_load"),
    fails("O-01", Release, "xarray/shape.rs shrink", "collapse_beside_a_load"),
    fails("O-01", Release, "xarray/write.rs replace", "collapse_beside_a_load"),
    fails("O-02", Release, "list.rs add_head", "add_to_either_end"),
    fails("O-02", Release, "list.rs add_tail", "add_to_either_end"),
    fails("O-02", Release, "list.rs add_tail 2", "add_to_either_end"),
    fails("O-02", Release, "list.rs del", "del_between_two"),
    fails("O-02", Release, "list.rs del 2", "del_before_a_newcomer"),
    fails("O-02", Acquire, "list.rs iter_rcu", "add_to_either_end"),
    fails("O-02", Acquire, "list.rs iter_rcu 2", "add_to_either_end"),
    fails("O-03", Acquire, "refcount.rs acquire", "found_at_zero"),
    fails("O-03", Release, "refcount.rs put_and_test", "the_last_of_two_puts"),
    fails("O-03", Acquire, "refcount.rs put_and_test", "the_last_of_two_puts"),
    fails("O-03", Release, "refcount.rs put_unless_last", "put_unless_last"),
    fails("O-03", Acquire, "queue/hints/mod.rs retire", "a_fold_beside_a_discard"),
    fails("O-03", Release, "queue/hints/mod.rs retire", "a_fold_beside_a_discard"),
    fails("O-03", Release, "queue/hints/give_back.rs give_back", "a_fold_beside_a_discard"),
    fails("O-03", Acquire, "queue/hints/give_back.rs give_back", "a_fold_beside_a_discard"),
    fails("O-04", Release, "vcpu/kick.rs make_request", "kick_or_stay_out"),
    fails("O-04", Full, "vcpu/kick.rs make_request", "kick_or_stay_out"),
    nothing(
        "O-04",
        Full,
        "vcpu/kick.rs send_ipi",
        "the fence before it orders the exchange after the request, and nothing is passed on with the mode",
    ),
    fails("O-04", Acquire, "vcpu/run.rs enter", "kick_or_stay_out"),
    fails("O-04", Full, "vcpu/run.rs enter", "kick_or_stay_out"),
    nothing(
        "O-05",
        Acquire,
        "its/mod.rs is_enabled",
        "a walk is ordered by its_lock where it is ordered at all; what was mapped before is under its_lock as well",
    ),
    nothing("O-05", Release, "its/mod.rs set_its_enabled", "as its partner, is_enabled"),
    nothing(
        "O-05",
        Full,
        "vcpu/lpis.rs set_lpis_enabled",
        "enabling passes nothing on: the pending table is applied under the irq_lock of each LPI, or by exchanges",
    ),
    nothing(
        "O-05",
        Full,
        "vcpu/lpis.rs set_lpis_enabled 2",
        "disabling: what follows is under locks or an exchange; who has to see that it is done reads the release of 0",
    ),
    fails("O-05", Release, "vcpu/lpis.rs switch_lpis_off", "off_when_rwp_is_clear"),
    fails("O-05", Acquire, "vcpu/mod.rs gicr_ctlr", "off_when_rwp_is_clear"),
    nothing(
        "O-06",
        Acquire,
        "cache/lazy.rs irq",
        "an entry is filled once, before O-02 publishes it with its pointer; later stores are null",
    ),
    nothing("O-06", Release, "cache/lazy.rs insert", "as its partner, irq"),
    fails("O-07", Acquire, "bus.rs current", "an_its_that_comes"),
    fails("O-07", Acquire, "bus.rs first_or_at", "a_first_its_that_comes"),
    fails("O-07", Release, "bus.rs publish", "an_its_that_comes"),
    fails("O-07", Release, "bus.rs publish 2", "a_first_its_that_comes"),
    fails("O-08", Full, "vcpu/kick.rs say_blocked", "wake_or_see_it_hints"),
    unmet("O-09", Acquire, "vcpu/halt.rs halt_guest", LOOP),
    unmet("O-09", Release, "vcpu/run.rs leave", LOOP),
    unmet("O-09", Release, "vcpu/halt.rs resume_guest", LOOP),
    unmet("O-09", Acquire, "vcpu/halt.rs handle_requests", LOOP),
    fails("O-10", Release, "queue/hints/bitmap.rs set", "a_look_beside_a_send"),
    fails("O-10", Acquire, "queue/hints/bitmap.rs clear", "a_look_beside_a_send"),
    fails("O-11", Full, "queue/hints/bitmap.rs set", "a_look_beside_a_send"),
    fails("O-11", Full, "queue/hints/bitmap.rs set_summary", "a_look_at_the_top_beside_a_send"),
    fails("O-11", Full, "queue/hints/bitmap.rs clear_summary", "a_look_beside_a_send"),
    fails("O-12", Release, "queue/hints/mod.rs send", "what_a_device_wrote"),
    fails("R-02", Release, "protocol.rs enter", "two_sections_and_a_free"),
    fails("R-02", Release, "protocol.rs leave", "a_section_and_a_free"),
    fails("R-02", Acquire, "protocol.rs is_before", "a_section_and_a_free"),
    fails("R-03", Full, "models/protocol.rs read", "a_section_and_a_free"),
    fails("R-03", Full, "models/protocol.rs synchronize", "a_section_and_a_free"),
    fails("R-08", Acquire, "protocol.rs take_token", "parked_and_woken_once"),
    fails("R-08", Acquire, "protocol.rs lie_down", "told_elsewhere"),
    fails("R-08", Release, "protocol.rs unpark", "parked_and_woken_once"),
    fails("R-10", Acquire, "latch.rs try_lock", "two_at_a_latch"),
    fails("R-10", Acquire, "latch.rs wait", "two_at_a_latch"),
    fails("R-10", Release, "latch.rs unlock", "two_at_a_latch"),
    fails("R-11", Acquire, "latch.rs try_enter", "a_reader_and_a_writer_at_a_gate"),
    fails("R-11", Release, "latch.rs leave", "a_reader_and_a_writer_at_a_gate"),
    fails("R-11", Acquire, "latch.rs try_close", "a_reader_and_a_writer_at_a_gate"),
    fails("R-11", Release, "latch.rs open", "a_reader_and_a_writer_at_a_gate"),
];
