//! [`Runtime`]: the RCU and SRCU domains that a set of threads share.
//!
//! A process has one, [`Runtime::global`], made on first use with the best [`Strategy`] of the machine, and so does a
//! child of `fork`: its parent's is not for it. Tests and
//! benchmarks make others, so that the readers of one do not delay the writers of another.

use crate::barrier::Strategy;
use crate::deferred::Deferred;
use crate::fork::OfProcess;
use crate::rcu::Domain;
use std::sync::Arc;

/// The RCU and SRCU domains and the deferred callbacks of a set of threads.
pub struct Runtime {
    pub(crate) rcu: Arc<Domain>,
    pub(crate) srcu: Arc<Domain>,
    pub(crate) deferred: Deferred,
}

/// What RCU has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RcuStats {
    /// Grace periods that were waited for.
    pub grace_periods: u64,
    /// How long they took, in all.
    pub waited_ns: u64,
    /// How long the longest took.
    pub max_wait_ns: u64,
    /// Callbacks queued.
    pub callbacks_queued: u64,
    /// Callbacks that have run.
    pub callbacks_run: u64,
    /// Callbacks queued that have not run.
    pub backlog: u64,
    /// How long the oldest of those has waited.
    pub oldest_callback_age_ns: u64,
    /// How often a reader was reported as stalled.
    pub stalls: u64,
}

impl Runtime {
    /// A runtime of its own.
    ///
    /// # Panics
    /// If this machine lacks the strategy ([`Strategy::available`]).
    pub fn new(strategy: Strategy) -> Arc<Runtime> {
        Arc::new(Runtime {
            rcu: Domain::new("rcu", strategy),
            srcu: Domain::new("srcu", strategy),
            deferred: Deferred::new(),
        })
    }

    /// The runtime of the process.
    pub fn global() -> &'static Arc<Runtime> {
        static GLOBAL: OfProcess<Arc<Runtime>> = OfProcess::new();
        GLOBAL.get(|| Runtime::new(Strategy::best()))
    }

    /// The RCU domain.
    pub fn rcu(&self) -> &Arc<Domain> {
        &self.rcu
    }

    /// The SRCU domain.
    pub fn srcu(&self) -> &Arc<Domain> {
        &self.srcu
    }

    /// Sets the backlog of callbacks from which on operations wait; 65536 at first, at least 1.
    pub fn set_backlog_cap(&self, cap: usize) {
        self.deferred.set_cap(cap);
    }

    /// What RCU has done so far.
    pub fn rcu_stats(&self) -> RcuStats {
        let deferred = self.deferred.stats();
        RcuStats {
            callbacks_queued: deferred.queued,
            callbacks_run: deferred.run,
            backlog: deferred.queued - deferred.run,
            oldest_callback_age_ns: u64::try_from(deferred.oldest_age.as_nanos()).unwrap_or(u64::MAX),
            ..Runtime::grace_period_stats(&self.rcu)
        }
    }

    /// What SRCU has done so far; it has no callbacks.
    pub fn srcu_stats(&self) -> RcuStats {
        Runtime::grace_period_stats(&self.srcu)
    }

    fn grace_period_stats(domain: &Domain) -> RcuStats {
        let periods = domain.grace_periods();
        RcuStats {
            grace_periods: periods.count,
            waited_ns: periods.waited_ns,
            max_wait_ns: periods.max_wait_ns,
            stalls: periods.stalls,
            ..RcuStats::default()
        }
    }
}
