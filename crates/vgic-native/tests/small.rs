//! The promises of the platform in sizes that Miri can run (`ci/by-hand/miri.sh`): it sees the use of freed memory, the data
//! race and the broken alias that a test on a real machine passes over. Without Miri they are quick.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vgic_core::designs::Composed;
use vgic_core::guard::Rcu;
use vgic_core::irq::FIRST_LPI;
use vgic_core::platform::{Atomic, Layout, RawLock};
use vgic_core::tables::{Fault, GuestTables};
use vgic_core::xarray::XArray;
use vgic_core::{Command, Msi, Obj, Order, Pair, Platform, Vm};
use vgic_native::{Native, NativeCtx, Runtime, Strategy};

/// A runtime for each strategy; Miri has no membarrier.
fn runtimes() -> impl Iterator<Item = Arc<Runtime>> {
    [Strategy::Membarrier, Strategy::Fences].into_iter().filter(|s| s.available()).map(Runtime::new)
}

/// An object of which a reader can tell that it is whole: the two are the same.
struct Pairs(u64, Box<u64>);

fn pair(ctx: &NativeCtx, value: u64) -> Obj<Pairs> {
    Native::alloc(ctx, "pair", |_| Pairs(value, Box::new(value))).expect("memory")
}

#[test]
fn readers_see_whole_objects_while_they_are_replaced_and_freed() {
    const UPDATES: u64 = 20;
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let root: Arc<<Native as Platform>::AtomicPtr<Pairs>> = Arc::new(Native::embed("root", |l| l.ptr("root")));
        root.store(&ctx, pair(&ctx, 0).as_ptr(), Order::Release(Pair::XArrayPublish));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let root = Arc::clone(&root);
                Native::spawn(&ctx, "reader", move |ctx| {
                    let mut last = 0;
                    while last < UPDATES {
                        let _rcu = Rcu::<Native>::read_lock(ctx);
                        let ptr = root.load(ctx, Order::Acquire(Pair::XArrayPublish));
                        // SAFETY: the root holds handles, which are freed after a grace period.
                        let found = unsafe { Obj::from_ptr(ptr) }.expect("never empty");
                        assert_eq!(found.0, *found.1);
                        assert!(found.0 >= last, "what was replaced does not come back");
                        last = found.0;
                    }
                })
            })
            .collect();
        for value in 1..=UPDATES {
            let new = pair(&ctx, value);
            let old = root.swap(&ctx, new.as_ptr(), Order::AcqRel(Pair::XArrayPublish));
            // SAFETY: the root holds handles; the swap made this one ours.
            let old = unsafe { Obj::from_ptr(old) }.expect("never empty");
            if value % 2 == 0 {
                // SAFETY: unlinked; only readers that run now may still have it.
                unsafe { Native::free_rcu(&ctx, old) };
                Native::rcu_throttle(&ctx);
            } else {
                Native::synchronize_rcu(&ctx);
                // SAFETY: unlinked, and the readers that may have had it have left.
                unsafe { Native::free(&ctx, old) };
            }
        }
        assert!(readers.into_iter().all(|thread| Native::join(&ctx, thread)));
        Native::rcu_barrier(&ctx);
        // SAFETY: the threads are gone.
        unsafe { Native::free(&ctx, Obj::from_ptr(root.load(&ctx, Order::Relaxed)).expect("never empty")) };
    }
}

#[test]
fn a_lock_orders_plain_data() {
    const EACH: u64 = 30;
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        // Not of the platform: Miri sees a race on it if the lock orders nothing.
        struct Shared {
            spin: <Native as Platform>::SpinLock,
            value: std::cell::UnsafeCell<u64>,
        }
        // SAFETY: the value is touched under the lock alone.
        unsafe impl Sync for Shared {}
        let spin = Native::embed("shared", |l| l.spin("lock", 1));
        let shared = Arc::new(Shared { spin, value: 0.into() });
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                Native::spawn(&ctx, "adder", move |ctx| {
                    for _ in 0..EACH {
                        shared.spin.lock(ctx, false);
                        // SAFETY: the lock is held.
                        unsafe { *shared.value.get() += 1 };
                        shared.spin.unlock(ctx);
                    }
                })
            })
            .collect();
        assert!(threads.into_iter().all(|thread| Native::join(&ctx, thread)));
        // SAFETY: the threads are gone.
        assert_eq!(unsafe { *shared.value.get() }, 3 * EACH);
    }
}

#[test]
fn an_xarray_is_read_while_its_levels_come_and_go() {
    // One that stays; others that need one level, two, three.
    const STAYS: u32 = 1;
    const GO: [u32; 4] = [2, 70, 5000, FIRST_LPI];
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let tree: Arc<XArray<Native, Pairs>> =
            Arc::new(Native::embed("tree", |l| XArray::new(l, "tree.xa_lock", "tree.xa_head", 10)));
        let store = |ctx: &NativeCtx, index: u32| tree.store(ctx, index, pair(ctx, u64::from(index)), false);
        assert_eq!(store(&ctx, STAYS), Ok(None));
        let rounds = Arc::new(AtomicU64::new(0));
        let reader = {
            let (tree, rounds) = (Arc::clone(&tree), Arc::clone(&rounds));
            Native::spawn(&ctx, "reader", move |ctx| {
                while rounds.load(Ordering::Acquire) < 3 {
                    for index in [STAYS].into_iter().chain(GO) {
                        let rcu = Rcu::<Native>::read_lock(ctx);
                        let found = tree.load(ctx, &rcu, index);
                        assert!(found.is_some() || index != STAYS, "it stays");
                        if let Some(found) = found {
                            assert_eq!((found.0, *found.1), (u64::from(index), u64::from(index)));
                        }
                    }
                }
            })
        };
        for _ in 0..3 {
            for index in GO {
                assert_eq!(store(&ctx, index), Ok(None));
            }
            for index in GO {
                let gone = tree.erase(&ctx, index, false).expect("it was stored");
                // SAFETY: erased; only readers that run now may still have it.
                unsafe { Native::free_rcu(&ctx, gone) };
            }
            rounds.fetch_add(1, Ordering::Release);
        }
        assert!(Native::join(&ctx, reader));
        let last = tree.erase(&ctx, STAYS, false).expect("it stayed");
        // SAFETY: erased, and the thread is gone.
        unsafe { Native::free(&ctx, last) };
        assert!(tree.is_empty(&ctx));
        Native::rcu_barrier(&ctx);
    }
}

/// Every LPI enabled, none pending.
struct Tables;

impl GuestTables for Tables {
    fn config(&self, _intid: u32) -> Result<u8, Fault> {
        Ok(0xa1)
    }
    fn pending_byte(&self, _vcpu: u32, _offset: u32) -> Result<u8, Fault> {
        Ok(0)
    }
    fn set_pending_byte(&self, _vcpu: u32, _offset: u32, _value: u8) -> Result<(), Fault> {
        Ok(())
    }
}

/// A sender, a guest that moves, unmaps and maps, and a vCPU that takes what comes.
#[test]
fn a_small_guest_lives_and_dies() {
    const SENDS: u32 = 8;
    // Two with nothing known against them, of the two kinds of cache that are read without a lock.
    for (design, runtime) in ["call-rcu", "hardened"].into_iter().flat_map(|d| runtimes().map(move |r| (d, r))) {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let vm = Vm::<Native, _>::new(Composed::named(design), &ctx, 2, 2, Box::new(Tables)).expect("memory");
        let its = vm.add_its(&ctx, 0x0808_0000).expect("memory");
        let (device_id, intid) = (0, FIRST_LPI);
        let mapti = move |event_id| Command::Mapti { device_id, event_id, intid: intid + event_id, collection_id: 0 };
        for command in [
            Command::Mapd { device_id, event_bits: 4, itt_addr: 0, valid: true },
            Command::Mapc { collection_id: 0, vcpu: 0, valid: true },
            Command::Mapc { collection_id: 1, vcpu: 1, valid: true },
            mapti(0),
            mapti(1),
        ] {
            assert_eq!(vm.command(&ctx, &its, command), Ok(()));
        }
        for vcpu in &vm.vcpus {
            vm.set_lpis_enabled(&ctx, vcpu, true, true).expect("readable tables");
        }
        vm.set_its_enabled(&ctx, &its, true);
        let vm = Arc::new(vm);
        let run = |vm: &Vm<Native, Composed>, ctx: &NativeCtx, vcpu| {
            let mut running = vm.run_vcpu(ctx, vcpu);
            running.enter_always();
            while let Some(intid) = running.acknowledge() {
                running.eoi(intid);
            }
            running.exit();
        };
        let sender = {
            let vm = Arc::clone(&vm);
            Native::spawn(&ctx, "sender", move |ctx| {
                for send in 0..SENDS {
                    let doorbell = its.doorbell();
                    let msi = Msi { doorbell, device_id, event_id: send % 2, device_id_valid: true };
                    let _ = vm.inject_msi(ctx, &msi);
                }
            })
        };
        let guest = {
            let vm = Arc::clone(&vm);
            Native::spawn(&ctx, "guest", move |ctx| {
                for collection_id in [1, 0] {
                    let movi = Command::Movi { device_id, event_id: 0, collection_id };
                    let discard = Command::Discard { device_id, event_id: 1 };
                    for command in [movi, discard, mapti(1)] {
                        assert_eq!(vm.command(ctx, &its, command), Ok(()));
                    }
                }
            })
        };
        for vcpu in [0, 1, 0, 1] {
            run(&vm, &ctx, vcpu);
        }
        assert!(Native::join(&ctx, sender) && Native::join(&ctx, guest), "{design}");
        // Twice, as what has to move is taken by its new vCPU.
        for vcpu in [0, 1, 0, 1] {
            run(&vm, &ctx, vcpu);
        }
        assert_eq!(vm.pending_count(&ctx), 0, "{design}");
        vm.destroy(&ctx);
        Native::rcu_barrier(&ctx);
    }
}
