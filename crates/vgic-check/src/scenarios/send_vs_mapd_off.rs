//! A cached MSI against MAPD with V = 0, which frees the device and all its events, and empties the cache last.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct SendVsMapdOff;

impl Scenario for SendVsMapdOff {
    const NAME: &'static str = "send_vs_mapd_off";
    const ABOUT: &'static str = "a cached MSI against MAPD V=0 of its device";
    const BOUND: &'static str = "1 vCPU, 2 events (one cached), 1 MSI, 1 MAPD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let off = Command::Mapd { device_id: 0, event_bits: 5, itt_addr: 0, valid: false };
            let _ = guest.command(ctx, off);
        });
        guest.finish(ctx);
    }
}
