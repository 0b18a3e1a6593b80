//! What is to be said of each design: one [`Row`] each, in the order of the history.

/// A design in words.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The design that it changes.
    pub based_on: &'static str,
    /// What it changes.
    pub changed: &'static str,
    /// What is better for it.
    pub fixes: &'static str,
    /// What is wrong with it; what a design inherits is said where it arose.
    pub defect: &'static str,
    /// Where to read more.
    pub reference: &'static str,
}

/// Every design.
pub const ROWS: &[Row] = &[
    Row {
        name: "v6.7",
        based_on: "",
        changed: "linked list and VM-wide LRU cache under lpi_list_lock; a cache hit takes no reference",
        fixes: "",
        defect: "a cache hit uses the LPI after the lock is dropped: use after free against DISCARD",
        reference: "CVE-2024-26598",
    },
    Row {
        name: "v6.8-rc1",
        based_on: "v6.7",
        changed: "a cache hit takes a reference under lpi_list_lock and puts it after queueing",
        fixes: "CVE-2024-26598",
        defect: "prune keeps no reference while it migrates (CVE-2026-72288, CVE-2026-72289, every design before v7.1.8); \
                 MOVALL and the enable of LPIs dereference NULL for an LPI unmapped meanwhile (until v6.9)",
        reference: "ad362fe07fec; the base of the series",
    },
    Row {
        name: "patch-01",
        based_on: "v6.8-rc1",
        changed: "LPIs also in an xarray, dist->lpi_xa, beside the list",
        fixes: "prepares look-up without a walk",
        defect: "a failed store returns with lpi_list_lock held and interrupts off (until v6.9)",
        reference: "1d6f83f60f79 as merged",
    },
    Row {
        name: "patch-02",
        based_on: "patch-01",
        changed: "vgic_get_lpi loads from the xarray, still under lpi_list_lock",
        fixes: "a look-up no longer walks every mapped LPI; the biggest gain is at the fold of list registers",
        defect: "",
        reference: "5a021df71916 as merged",
    },
    Row {
        name: "patch-03",
        based_on: "patch-02",
        changed: "pending tables are saved by a walk of the xarray",
        fixes: "bytes are written in ascending order",
        defect: "no reference on the LPI during a step of the walk (until v7.3, CVE-2026-89913)",
        reference: "49f0a468a158 as merged",
    },
    Row {
        name: "patch-04",
        based_on: "patch-03",
        changed: "vgic_copy_lpi_list walks the xarray, under lpi_list_lock and RCU",
        fixes: "the last walk of the list",
        defect: "the walk's upper bound is the largest index, not the INTID space",
        reference: "2798683b8c80 as merged",
    },
    Row {
        name: "patch-05",
        based_on: "patch-04",
        changed: "the list is gone; a map finds a racing one with xa_load",
        fixes: "mapping N LPIs is no longer N squared",
        defect: "the list's member stays in struct vgic_irq (removed in v2; not modelled)",
        reference: "9880835af78e as merged",
    },
    Row {
        name: "patch-06",
        based_on: "patch-05",
        changed: "the count of LPIs is an atomic",
        fixes: "allows release without lpi_list_lock",
        defect: "",
        reference: "05f4d4f5d462 as merged",
    },
    Row {
        name: "patch-07",
        based_on: "patch-06",
        changed: "LPIs are freed by kfree_rcu",
        fixes: "readers may look at an LPI that is going away",
        defect: "",
        reference: "a5c7f011cb58 as merged",
    },
    Row {
        name: "patch-08",
        based_on: "patch-07",
        changed: "vgic_get_lpi runs under RCU and takes a reference only if the count is not zero",
        fixes: "look-ups share only the LPI's own reference count",
        defect: "other places still take references unconditionally (right only while every put holds lpi_list_lock)",
        reference: "864d4304ec1e as merged",
    },
    Row {
        name: "patch-09",
        based_on: "patch-08",
        changed: "the cache and a racing map take references only if the count is not zero",
        fixes: "no dying LPI is brought back once puts leave the lock",
        defect: "a map may overwrite a dying entry whose erase, by INTID, is still to come; harmless while puts hold \
                 lpi_list_lock, which patch-10 ends",
        reference: "50ac89bb7092 as merged",
    },
    Row {
        name: "patch-10",
        based_on: "patch-09",
        changed: "vgic_put_irq is a plain decrement; the xarray's lock only to erase",
        fixes: "lpi_list_lock per delivered LPI: 5 in the baseline, now 1",
        defect: "the erase, by INTID, may take out a newcomer that a map stored over the dying LPI (every later design \
                 until v7.1.8, CVE-2026-74568); xa_erase with interrupts on, although the lock is needed in hard \
                 interrupts: deadlock (until v6.9)",
        reference: "e27f2d561fee as merged (Zenghui Yu's review of v3)",
    },
    Row {
        name: "patch-11",
        based_on: "patch-10",
        changed: "cache entries are allocated on a miss; LRU victim when full",
        fixes: "memory only for translations in use",
        defect: "the count never goes up, so the limit is inactive: the cache grows with every miss (until patch-14); as \
                 posted this step should not compile",
        reference: "v1 11/15",
    },
    Row {
        name: "patch-12",
        based_on: "patch-11",
        changed: "a hit raises the entry's usage count instead of moving it; the victim has the lowest count",
        fixes: "a hit no longer writes the list",
        defect: "every eviction exchanges every entry's count for zero",
        reference: "v1 12/15 (Marc Zyngier's review)",
    },
    Row {
        name: "patch-13",
        based_on: "patch-12",
        changed: "the LPI pointer in an entry is an RCU pointer",
        fixes: "prepares readers without the lock (no step changes: the engine publishes it so in patches 11 and 12, too)",
        defect: "",
        reference: "v1 13/15",
    },
    Row {
        name: "patch-14",
        based_on: "patch-13",
        changed: "the cache is an rculist; the count counts; a grace period before a victim is freed",
        fixes: "readers may stand on an entry that goes away; the limit holds",
        defect: "synchronize_rcu on every insertion, victim or not, with its_lock held",
        reference: "v1 14/15",
    },
    Row {
        name: "patch-15",
        based_on: "patch-14",
        changed: "a cache hit walks the list under RCU alone",
        fixes: "lpi_list_lock per delivered LPI: 0",
        defect: "a miss costs a grace period (patch-14): an overcommitted cache falls by orders of magnitude",
        reference: "v1 15/15",
    },
    Row {
        name: "v2",
        based_on: "patch-15",
        changed: "usage counts are kept, a new entry starts at the largest; a grace period only if there is a victim",
        fixes: "evictions no longer reset every count; insertions without victim do not wait",
        defect: "the walk of all LPIs ends before it begins: INVALL, MOVALL and the enable of LPIs do nothing; an \
                 overcommitted cache still waits for a grace period on every miss",
        reference: "v2 posting of 13 February 2024, 05/23 and 12-16/23",
    },
    Row {
        name: "rwlock",
        based_on: "patch-10",
        changed: "the cache of eagerly allocated entries under a reader-writer lock, with usage counts",
        fixes: "hits run side by side; no allocation, no grace period",
        defect: "every hit still writes the lock's line twice",
        reference: "the author's option 1 in the cover of v2 (ours in detail)",
    },
    Row {
        name: "call-rcu",
        based_on: "v2",
        changed: "victims are freed by call_rcu",
        fixes: "a miss no longer waits for a grace period",
        defect: "a guest may flood the callbacks (here: bounded, the sender waits); v2's empty walk",
        reference: "the author's option 2 in the cover of v2 (ours in detail)",
    },
    Row {
        name: "v6.9",
        based_on: "patch-10",
        changed: "the first ten patches as merged: right walk bound, erase with interrupts off, lock dropped on error",
        fixes: "get and put without lpi_list_lock, which is left for the cache, maps and the copy of the list",
        defect: "the erase by INTID of patch-10",
        reference: "v4 of the series, 21 February 2024; 1d6f83f60f79..e27f2d561fee",
    },
    Row {
        name: "v6.10",
        based_on: "v6.9",
        changed: "one xarray an ITS as translation cache, read under RCU; no lpi_list_lock, no limit, no eviction",
        fixes: "no VM-wide lock on a hit; a miss waits for nobody; no cliff at 16 events per vCPU",
        defect: "two drains of a cache at once put one reference twice (CVE-2026-46316, until v7.1.8); a failed cache \
                 store leaks a reference (until v6.17); MOVALL takes the LPIs of every vCPU (until v7.3)",
        reference: "\"Transition to a per-ITS translation cache\", 22 April 2024; 8201d1028caa..481c9ee846d2",
    },
    Row {
        name: "v6.17",
        based_on: "v6.10",
        changed: "lock order inverted (lpi_xa above ap_list_lock); releases under raw locks are put off and swept up",
        fixes: "the xarray's lock no longer nests inside raw spin locks; the leak of a failed cache store",
        defect: "a put-off LPI that a map overwrites is never freed (CVE-2026-74568; the leak is here only, the erase \
                 by INTID is patch-10's and still there); a failed store in add calls xa_release() under the lock that \
                 it takes; that lock with interrupts on, although the last reference may go in a hard interrupt (until \
                 6.18, 75360a9a3385)",
        reference: "3a08a6ca7c37, 0a4aedf2bd30, d54594accf73, 982f31bbb5b0, 13bba09beb5f; 66768669f27d",
    },
    Row {
        name: "v7.1.8",
        based_on: "v6.17",
        changed: "the last put takes the xarray's lock first; a map frees the dying LPI that it replaces; prune holds a \
                  reference; a drain puts what it erased; ap_list kept by summary; bits of an LPI share a byte; what was \
                  ended in no list register is replayed",
        fixes: "CVE-2026-46316, CVE-2026-72288, CVE-2026-72289, CVE-2026-74568",
        defect: "the open window: an MSI that missed may be cached after GITS_CTLR or GICR_CTLR has emptied the cache; \
                 MSIs are then taken while switched off, until the next invalidation (found with one preemption; no \
                 memory is misused, complete at two); the exit reads an LPI that EnableLPIs off and DISCARD have freed \
                 (until v7.3); what else the checker finds: docs/explain/hardened.md",
        reference: "905698e11187, c32d26f0da86, and the 6.19 ap_list rework",
    },
    Row {
        name: "v7.3",
        based_on: "v7.1.8",
        changed: "MOVALL moves the LPIs of its source only; the save of pending states holds a reference for each step; \
                  the last LPI that got a list register is kept with a reference, and only if they were full",
        fixes: "CVE-2026-89913; a use after free at exit; LPIs that go where nobody has sent them",
        defect: "EnableLPIs off leaves an LPI in a list register, and the replay of EOIcount on a node that is on no list; \
                 CLEAR undoes what another CPU stores beside it (both since v7.1.8); what else the checker finds: \
                 docs/explain/hardened.md",
        reference: "751f4641560b, f5b8f203bfc0, e079ef0b1c40, 19bc5d79ece6; for LPIs the same code as 7.2.13",
    },
    Row {
        name: "halt",
        based_on: "v7.3",
        changed: "EnableLPIs off and MOVALL stop every vCPU meanwhile; a vCPU says that it is outside after it has folded",
        fixes: "an LPI that EnableLPIs off leaves in a list register, if its vCPU was in the guest",
        defect: "a vCPU that has filled its list registers and not said so yet is not waited for, and folds them later; \
                 most of what the checker finds in v7.3",
        reference: "\"Make LPI disabling robust\", September 2026, not merged by then; 499ddfc539bf, 3a8111254482, \
                    3e2780713d77",
    },
    Row {
        name: "hardened",
        based_on: "v7.3",
        changed: "switches empty caches under its_lock; EnableLPIs off clears and prunes, on only adds; a vCPU hands \
                  over what was moved when kicked; configuration is read and applied under a mutex; more",
        fixes: "the open window; LPIs lost to switches, moves and concurrent INVs, at no cost on a hit",
        defect: "an MSI in flight while LPIs go off may still be taken once",
        reference: "docs/explain/hardened.md (ours)",
    },
    Row {
        name: "next-01",
        based_on: "hardened",
        changed: "an LPI's state is one word, changed by one atomic access; a vCPU has a bitmap of hints at which LPIs to \
                  look, instead of a list",
        fixes: "no spin lock from a send to the guest and back; a send of a pending LPI is done after one access; \
                DISCARD throws a pending state away",
        defect: "",
        reference: "docs/explain/next.md (ours)",
    },
    Row {
        name: "next-02",
        based_on: "next-01",
        changed: "a hit uses the LPI in the RCU read section in which the cache was read; no reference",
        fixes: "a send of a pending LPI writes one word of shared memory, the LPI's own",
        defect: "",
        reference: "docs/explain/next.md (ours)",
    },
    Row {
        name: "next-03",
        based_on: "next-02",
        changed: "a hit compares the doorbell with that of the VM's first ITS before it searches the bus",
        fixes: "no SRCU section and no binary search on a hit",
        defect: "",
        reference: "docs/explain/next.md (ours)",
    },
    Row {
        name: "next-04",
        based_on: "next-03",
        changed: "DISCARD and MAPD throw the translations of their events out of the cache, MOVI and MOVALL none, unless \
                  the new vCPU has its LPIs off",
        fixes: "a command no longer makes every event of the ITS miss once",
        defect: "",
        reference: "docs/explain/next.md (ours)",
    },
    Row {
        name: "next-05",
        based_on: "next-04",
        changed: "an ITS's cache is a tree for each device, keyed by EventID, in one keyed by DeviceID, instead of one tree \
                  keyed by both in one number",
        fixes: "a hit walks two levels for most devices, instead of three to six",
        defect: "",
        reference: "docs/explain/next.md (ours)",
    },
];

/// The row of a design by name.
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}
