//! A vCPU whose guest runs all the time and takes what comes.

use crate::run::Run;
use vgic_core::Vm;
use vgic_core::designs::Composed;
use vgic_sim::report::Spending;
use vgic_sim::{Cost, Ps, Sim, SimCtx};

/// How long the handler of an interrupt takes, unless a load says otherwise.
pub(crate) fn usual_time(ctx: &SimCtx) -> Ps {
    ctx.vary(ctx.cost(Cost::guest_interrupt))
}

/// The guest's handler of an LPI that it has just taken: so long, then `eoi` ends the interrupt.
pub(crate) fn handle(ctx: &SimCtx, run: &Run, intid: u32, time: Ps, eoi: impl FnOnce()) {
    let begin = ctx.now();
    let number = run.taken(ctx, intid);
    ctx.spend(Spending::Guest, time);
    eoi();
    ctx.trace("deliver", format_args!("LPI {intid}"), begin, Some(number));
}

/// A vCPU until the run stops. If it `takes` LPIs, the handler of one lasts `time` of its INTID; when it has `ended`, that
/// is told.
pub(crate) fn run_vcpu(
    ctx: &SimCtx,
    vm: &Vm<Sim, Composed>,
    run: &Run,
    id: u32,
    takes: bool,
    time: impl Fn(u32) -> Ps,
    ended: impl Fn(u32),
) {
    ctx.runs_vcpu(id);
    let mut vcpu = vm.run_vcpu(ctx, id);
    loop {
        // An IPI of before disturbs the host, not this entry.
        ctx.forget_ipi();
        ctx.in_order();
        if run.stop.get() {
            break;
        }
        if !vcpu.enter() {
            continue;
        }
        let entered = ctx.now();
        // The look at pending signals that follows the mode: who stops everybody may have kicked before.
        ctx.in_order();
        while !run.stop.get() {
            let mut kicked = false;
            while takes && !kicked {
                let Some(intid) = vcpu.acknowledge() else { break };
                handle(ctx, run, intid, time(intid), || vcpu.eoi(intid));
                ended(intid);
                kicked = ctx.take_ipi();
            }
            if kicked || ctx.take_ipi() || vcpu.runs_dry() {
                break;
            }
            ctx.wait_for_ipi();
        }
        ctx.trace("guest", "guest", entered, None);
        vcpu.exit();
    }
}
