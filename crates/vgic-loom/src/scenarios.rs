//! [`check`]: the scenarios of `vgic-check`, in every execution that weak memory allows.

use crate::explore::{Options, Report, explore};
use crate::platform::{Ctx, Loom};
use crate::stage::LoomStage;
use vgic_check::{Scenario, with_scenario};
use vgic_core::designs::Design;
use vgic_core::designs::series::{D6_8Rc1, D6_10, D7_1_8, Hardened, Patch15};

/// The designs that scenarios can be run in: few, since the engine is compiled for each of them.
pub const DESIGNS: &[&str] = &["v6.8-rc1", "patch-15", "v6.10", "v7.1.8", "hardened"];

fn on_loom<T: Scenario, D: Design>(ctx: &Ctx) {
    T::run::<Loom, LoomStage, D>(ctx, LoomStage::default());
}

fn in_design<T: Scenario>(design: &str) -> Option<fn(&Ctx)> {
    match design {
        "v6.8-rc1" => Some(on_loom::<T, D6_8Rc1>),
        "patch-15" => Some(on_loom::<T, Patch15>),
        "v6.10" => Some(on_loom::<T, D6_10>),
        "v7.1.8" => Some(on_loom::<T, D7_1_8>),
        "hardened" => Some(on_loom::<T, Hardened>),
        _ => None,
    }
}

/// Searches a scenario in a design; `None` if there is none of that name, or the design is not one of [`DESIGNS`].
pub fn check(scenario: &str, design: &str, options: &Options) -> Option<Report> {
    let run = with_scenario!(scenario, T => in_design::<T>(design))??;
    Some(explore(options, run))
}
