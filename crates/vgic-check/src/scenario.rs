//! [`Scenario`]: a VM, a few threads, a few operations. Small, so that all their interleavings can be tried.

use crate::platform::ctx::Ctx;
use crate::scenarios;
use vgic_core::{Design, with_design};

/// What a scenario is.
pub trait Scenario {
    /// Its name, as users type it.
    const NAME: &'static str;
    /// What meets what, in one sentence.
    const ABOUT: &'static str;
    /// How much there is of everything.
    const BOUND: &'static str;
    /// One execution, in a design. Generic, so that the engine is compiled for it.
    fn run<D: Design>(ctx: &Ctx);
}

/// A scenario in words.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What meets what.
    pub about: &'static str,
    /// How much there is of everything.
    pub bound: &'static str,
}

macro_rules! scenarios {
    ($($module:ident::$type:ident,)*) => {
        /// Every scenario.
        pub const SCENARIOS: &[Entry] = &[$({
            type S = scenarios::$module::$type;
            Entry { name: S::NAME, about: S::ABOUT, bound: S::BOUND }
        }),*];

        /// The function of a scenario in a design.
        pub(crate) fn find(scenario: &str, design: &str) -> Option<fn(&Ctx)> {
            $(
                if scenario == scenarios::$module::$type::NAME {
                    return with_design!(design, D => scenarios::$module::$type::run::<D> as fn(&Ctx));
                }
            )*
            None
        }
    };
}

scenarios! {
    send_vs_discard::SendVsDiscard,
    send_in_interrupt::SendInInterrupt,
    send_vs_mapd_off::SendVsMapdOff,
    send_vs_movi::SendVsMovi,
    send_vs_eviction::SendVsEviction,
    two_senders_one_insertion::TwoSendersOneInsertion,
    get_vs_final_put::GetVsFinalPut,
    add_vs_release::AddVsRelease,
    reserve_vs_release::ReserveVsRelease,
    movall_vs_prune::MovallVsPrune,
    flush_vs_discard::FlushVsDiscard,
    fold_unmapped::FoldUnmapped,
    its_disable_vs_resolver::ItsDisableVsResolver,
    lpis_disable_vs_resolver::LpisDisableVsResolver,
    after_open_window::AfterOpenWindow,
    two_its_one_lpi::TwoItsOneLpi,
    walk_vs_discard::WalkVsDiscard,
    save_pending_vs_discard::SavePendingVsDiscard,
    kick_vs_block::KickVsBlock,
    kick_vs_entry::KickVsEntry,
    concurrent_invalidation::ConcurrentInvalidation,
    prune_vs_lpi_disable::PruneVsLpiDisable,
    migrate_vs_lpi_disable::MigrateVsLpiDisable,
    xarray::Xarray,
    mix::Mix,
}
