//! [`Scenario`]: a VM, a few threads, a few operations. Small, so that all their interleavings can be tried.

use crate::platform::Shuttle;
use crate::platform::ctx::Ctx;
use crate::platform::stage::ShuttleStage;
use crate::scenarios;
use crate::stage::Stage;
use vgic_core::Platform;
use vgic_core::designs::Composed;

/// What a scenario is.
pub trait Scenario {
    /// Its name, as users type it.
    const NAME: &'static str;
    /// What meets what, in one sentence.
    const ABOUT: &'static str;
    /// How much there is of everything.
    const BOUND: &'static str;
    /// One execution, on a platform, in the design of the stage.
    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S);
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

fn on_shuttle<T: Scenario>(ctx: &Ctx, design: Composed) {
    T::run::<Shuttle, ShuttleStage>(ctx, ShuttleStage::new(design));
}

macro_rules! scenarios {
    ($($module:ident::$type:ident,)*) => {
        /// Every scenario.
        pub const SCENARIOS: &[Entry] = &[$({
            type S = scenarios::$module::$type;
            Entry { name: S::NAME, about: S::ABOUT, bound: S::BOUND }
        }),*];

        /// Takes the scenario of a name as a type: `with_scenario!(name, S => body)` is `Some(body)`, or `None` if no
        /// scenario has that name.
        #[macro_export]
        macro_rules! with_scenario {
            ($wanted:expr, $S:ident => $body:expr) => {
                match $wanted {
                    $(<$crate::scenarios::$module::$type as $crate::Scenario>::NAME => {
                        type $S = $crate::scenarios::$module::$type;
                        Some($body)
                    })*
                    _ => None,
                }
            };
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
    movall_of_three::MovallOfThree,
    movall_vs_prune::MovallVsPrune,
    flush_vs_discard::FlushVsDiscard,
    fold_unmapped::FoldUnmapped,
    fold_vs_lpi_disable::FoldVsLpiDisable,
    stale_list_register::StaleListRegister,
    lpi_in_two_registers::LpiInTwoRegisters,
    halt_vs_entry::HaltVsEntry,
    two_halts::TwoHalts,
    overflow_vs_discard::OverflowVsDiscard,
    replay_vs_lpi_disable::ReplayVsLpiDisable,
    clear_vs_inv::ClearVsInv,
    clear_vs_fold::ClearVsFold,
    its_disable_vs_resolver::ItsDisableVsResolver,
    lpis_disable_vs_resolver::LpisDisableVsResolver,
    after_open_window::AfterOpenWindow,
    two_its_one_lpi::TwoItsOneLpi,
    walk_vs_discard::WalkVsDiscard,
    save_pending_vs_last_put::SavePendingVsLastPut,
    kick_vs_block::KickVsBlock,
    kick_vs_entry::KickVsEntry,
    told_vs_movi::ToldVsMovi,
    two_sends_vs_entry::TwoSendsVsEntry,
    sends_vs_sleeps::SendsVsSleeps,
    movi_of_a_list_register::MoviOfAListRegister,
    remap_vs_send::RemapVsSend,
    unmask_vs_send::UnmaskVsSend,
    register_vs_remap::RegisterVsRemap,
    save_vs_run::SaveVsRun,
    concurrent_invalidation::ConcurrentInvalidation,
    prune_vs_lpi_disable::PruneVsLpiDisable,
    migrate_vs_lpi_disable::MigrateVsLpiDisable,
    moved_vs_lpi_disable::MovedVsLpiDisable,
    lpis_enable_vs_send::LpisEnableVsSend,
    lpis_enable_vs_mapti::LpisEnableVsMapti,
    send_vs_mapc::SendVsMapc,
    send_after_movi::SendAfterMovi,
    distributor_vs_send::DistributorVsSend,
    inv_vs_invall::InvVsInvall,
    remap_vs_run::RemapVsRun,
    mapti_without_memory::MaptiWithoutMemory,
    reserve_vs_unmap::ReserveVsUnmap,
    map_without_memory::MapWithoutMemory,
    cache_without_memory::CacheWithoutMemory,
    walks_find_all::WalksFindAll,
    cache_limit::CacheLimit,
    xarray::Xarray,
    mix::Mix,
}

/// The function of a scenario.
pub(crate) fn find(scenario: &str) -> Option<fn(&Ctx, Composed)> {
    with_scenario!(scenario, T => on_shuttle::<T> as fn(&Ctx, Composed))
}
