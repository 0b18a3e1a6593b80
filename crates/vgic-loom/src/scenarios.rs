//! [`check`]: the scenarios of `vgic-check`, in every execution that weak memory allows.

use crate::explore::{Options, Report, explore};
use crate::platform::{Ctx, Loom};
use crate::stage::LoomStage;
use vgic_check::{Scenario, with_scenario};
use vgic_core::designs::Composed;

fn on_loom<T: Scenario>(ctx: &Ctx, design: Composed) {
    T::run::<Loom, LoomStage>(ctx, LoomStage::new(design));
}

/// Searches a scenario in a design; `None` if there is none of that name.
pub fn check(scenario: &str, design: Composed, options: &Options) -> Option<Report> {
    let run = with_scenario!(scenario, T => on_loom::<T> as fn(&Ctx, Composed))?;
    Some(explore(options, move |ctx| run(ctx, design)))
}
