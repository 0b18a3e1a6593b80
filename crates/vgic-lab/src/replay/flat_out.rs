//! A replay flat out: *lockstep* and *senders* in one thread, *live* with a thread for each device and each vCPU.

use super::{Op, Replay, Replayed, Replica, Step};
use crate::bench::Guest;
use crate::sample::{Poll, Sample, Stopped, rounds};
use crate::stress::{Failure, Mode, drain, vcpu_thread};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, RwLock};
use std::time::Instant;
use vgic_core::{Design, Platform};
use vgic_host::in_range;
use vgic_native::{Native, NativeCtx};

impl Replay<'_> {
    pub(super) fn one_thread<D: Design>(
        &self,
        ctx: &NativeCtx,
        guest: &Replica<D>,
        replayed: &mut Replayed,
        mode: Mode,
        poll: Poll<'_>,
    ) -> Result<(), Failure> {
        let mut vcpus = guest.vm.run_all_vcpus(ctx);
        let result = replayed.sample.timed_rounds(self.length, poll, |accepted| {
            for Step { op, .. } in &self.program.steps {
                match *op {
                    Op::Msi { device_id, event_id } => *accepted += u64::from(guest.send(ctx, device_id, event_id)),
                    Op::Acknowledge { vcpu, .. } if mode == Mode::Lockstep => drain(&mut vcpus[vcpu as usize]),
                    Op::Acknowledge { .. } | Op::Eoi { .. } => {}
                    ref control => {
                        let _ = guest.control(ctx, control);
                        if *op == Op::Reset {
                            let _ = guest.stop_lpis(ctx);
                        }
                    }
                }
            }
        });
        Ok(result?)
    }

    pub(super) fn live<D: Design>(
        &self,
        ctx: &NativeCtx,
        guest: &Arc<Replica<D>>,
        replayed: &mut Replayed,
        poll: Poll<'_>,
    ) -> Result<(), Failure> {
        let mut devices: Vec<u32> = Vec::new();
        for Step { op, .. } in &self.program.steps {
            match op {
                Op::Msi { device_id, .. } if !devices.contains(device_id) => devices.push(*device_id),
                _ => {}
            }
        }
        in_range("devices of the recording (a thread each)", devices.len() as u64, 0, 1024)?;
        let run = Arc::new(FlatOut {
            epoch: Barrier::new(devices.len() + 1),
            sends: RwLock::default(),
            accepted: AtomicU64::new(0),
            senders_end: AtomicBool::new(false),
            vcpus_stop: AtomicBool::new(false),
            result: Mutex::default(),
        });
        let mut senders = Vec::new();
        let mut vcpus = Vec::new();
        for id in 0..self.program.vcpus {
            let (guest, run) = (Arc::clone(guest), Arc::clone(&run));
            vcpus.push(Native::spawn(ctx, &format!("vcpu{id}"), move |ctx| {
                vcpu_thread::<Native, D>(&guest.vm, ctx, id, Guest::Fixed, &run.vcpus_stop);
                run.finish(ctx);
            }));
        }
        for device_id in devices.iter().copied() {
            let (guest, run) = (Arc::clone(guest), Arc::clone(&run));
            senders.push(Native::spawn(ctx, &format!("device{device_id:x}"), move |ctx| {
                run.send_epochs(&guest, ctx, device_id);
                run.finish(ctx);
            }));
        }

        let start = Instant::now();
        let result = self.epochs(ctx, guest, &run, poll);
        replayed.sample.elapsed = start.elapsed();
        run.senders_end.store(true, Ordering::Relaxed);
        run.epoch.wait();
        let mut sound = true;
        for thread in senders {
            sound &= Native::join(ctx, thread);
        }
        run.vcpus_stop.store(true, Ordering::Relaxed);
        for vcpu in &guest.vm.vcpus {
            vcpu.interrupt(ctx);
        }
        for thread in vcpus {
            sound &= Native::join(ctx, thread);
        }
        if !sound {
            return Err(Failure::Broken("a thread of the replay panicked".to_owned()));
        }
        replayed.sample.absorb(&run.result.lock().unwrap_or_else(PoisonError::into_inner));
        replayed.sample.accepted = run.accepted.load(Ordering::Relaxed);
        Ok(result.map(|_| ())?)
    }

    /// Runs the commands in their places and lets the senders go in between.
    fn epochs<D: Design>(
        &self,
        ctx: &NativeCtx,
        guest: &Replica<D>,
        run: &FlatOut,
        poll: Poll<'_>,
    ) -> Result<u64, Stopped> {
        rounds(self.length, poll, || {
            let mut sends: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for Step { op, .. } in &self.program.steps {
                match *op {
                    Op::Msi { device_id, event_id } => sends.entry(device_id).or_default().push(event_id),
                    Op::Acknowledge { .. } | Op::Eoi { .. } => {}
                    ref control => {
                        run.epoch(&mut sends);
                        let _ = guest.control(ctx, control);
                    }
                }
            }
            run.epoch(&mut sends);
        })
    }
}

/// What the threads of a live replay share.
struct FlatOut {
    epoch: Barrier,
    sends: RwLock<BTreeMap<u32, Vec<u32>>>,
    accepted: AtomicU64,
    senders_end: AtomicBool,
    vcpus_stop: AtomicBool,
    result: Mutex<Sample>,
}

impl FlatOut {
    /// Lets the senders send what was collected, and waits for them.
    fn epoch(&self, sends: &mut BTreeMap<u32, Vec<u32>>) {
        if sends.is_empty() {
            return;
        }
        *self.sends.write().unwrap_or_else(PoisonError::into_inner) = std::mem::take(sends);
        self.epoch.wait();
        self.epoch.wait();
    }

    fn send_epochs<D: Design>(&self, guest: &Replica<D>, ctx: &NativeCtx, device_id: u32) {
        loop {
            self.epoch.wait();
            if self.senders_end.load(Ordering::Relaxed) {
                return;
            }
            let mut accepted = 0;
            if let Some(events) = self.sends.read().unwrap_or_else(PoisonError::into_inner).get(&device_id) {
                for event_id in events {
                    accepted += u64::from(guest.send(ctx, device_id, *event_id));
                }
            }
            self.accepted.fetch_add(accepted, Ordering::Relaxed);
            self.epoch.wait();
        }
    }

    fn finish(&self, ctx: &NativeCtx) {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).add(ctx);
    }
}
