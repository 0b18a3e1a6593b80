"""What a guest can rely on, one thread at a time, whatever the design."""

import errno

import pytest
from quirks import UNSOUND, quirks

import vgic

#: More events than the largest VM here has cached translations.
MANY = 200


def test_the_lower_priority_value_is_taken_first(guest):
    g = guest(events=4)
    for event, priority in enumerate([0xC0, 0x20, 0x80, 0x40]):
        g.configure(event, priority | 1)
    assert g.send(0, 1, 2, 3) == 4
    assert g.take() == [1, 3, 2, 0]


def test_equal_priorities_are_taken_once_each(guest):
    g = guest(events=4)
    g.send(2, 0, 3, 1)
    assert sorted(g.take()) == [0, 1, 2, 3]


def test_a_higher_priority_preempts_and_an_equal_one_waits(guest):
    g = guest(events=3)
    g.configure(1, 0x41)
    vcpu = g.vm.vcpu[0]
    g.send(0)
    assert vcpu.acknowledge() == 8192
    g.send(2)
    assert vcpu.acknowledge() is None
    g.send(1)
    assert vcpu.acknowledge() == 8193
    vcpu.eoi(8193)
    assert vcpu.acknowledge() is None
    vcpu.eoi(8192)
    assert vcpu.acknowledge() == 8194


def test_the_irq_line_counts_the_running_priority(guest, design):
    g = guest(events=3)
    vcpu = g.vm.vcpu[0]
    assert vcpu.highest_pending() is None
    g.send(2, 1)
    # A list has them in the order in which they came, hints in that of their INTIDs.
    first = 8193 if quirks(design).hints else 8194
    assert vcpu.highest_pending() == (first, 0xA0)
    assert vcpu.highest_pending(lowest_intid=True) == (8193, 0xA0)
    assert vcpu.acknowledge(lowest_intid=True) == 8193
    assert vcpu.has_pending
    assert vcpu.highest_pending() is None
    for special in range(1020, 1024):
        vcpu.eoi(special)
    assert vcpu.highest_pending() is None
    g.configure(0, 0x41)
    g.send(0)
    assert vcpu.highest_pending() == (8192, 0x40)
    vcpu.eoi(8193 | 1 << 40)
    assert g.take() == [0, 2]


@pytest.mark.parametrize("list_registers", [1, 2, 4, 16])
def test_more_pending_than_registers_are_all_taken_by_priority(guest, list_registers):
    g = guest(events=40, list_registers=list_registers)
    for event in range(40):
        g.configure(event, ((event * 7) % 20) << 3 | 1)
    assert g.send(*range(40)) == 40
    taken = g.take()
    assert sorted(taken) == list(range(40))
    priorities = [(event * 7) % 20 for event in taken]
    assert priorities == sorted(priorities)
    assert g.adds_up()


# Not with one register: up to v6.18 the active LPI keeps it.
@pytest.mark.parametrize("list_registers", [2, 4, 16])
def test_a_late_lpi_of_high_priority_overtakes_those_that_fill_the_registers(guest, list_registers):
    g = guest(events=20, list_registers=list_registers)
    g.configure(19, 0x01)
    g.send(*range(19))
    assert g.vm.vcpu[0].acknowledge() != 8192 + 19
    g.send(19)
    assert g.vm.vcpu[0].acknowledge() == 8192 + 19


def test_sends_of_a_pending_lpi_are_one_delivery(guest):
    g = guest()
    assert g.send(*[0] * 5) == 5
    assert g.take() == [0]
    counts = g.vm.counts()
    assert (counts["sent"], counts["delivered"], counts["coalesced"]) == (5, 1, 4)


def test_a_send_while_the_lpi_is_active_is_delivered_after_its_end(guest):
    g = guest()
    vcpu = g.vm.vcpu[0]
    g.send(0)
    assert vcpu.acknowledge() == 8192
    g.send(0)
    assert vcpu.acknowledge() is None
    vcpu.eoi(8192)
    assert vcpu.acknowledge() == 8192


def test_a_disabled_lpi_pends_until_inv_enables_it(guest):
    g = guest()
    g.configure(0, 0xA0)
    assert g.send(0) == 1
    assert g.take() == []
    assert g.vm.lpi(8192)["pending"]
    g.vm.write_config(8192, 0xA1)
    assert g.take() == [], "the table alone changes nothing"
    g.its.inv(g.DEVICE, 0)
    assert g.vm.vcpu[0].has_pending
    assert g.take() == [0]


def test_invall_reads_the_configuration_of_a_vcpu(guest, design):
    g = guest(vcpus=2)
    g.its.movi(g.DEVICE, 1, 1)
    for event in range(2):
        g.vm.write_config(8192 + event, 0x11)
    g.its.invall(0)
    changed = 0xA0 if quirks(design).empty_walk else 0x10
    assert [g.vm.lpi(8192 + event)["priority"] for event in range(2)] == [changed, 0xA0]


def test_clear_takes_the_pending_state_away(guest):
    g = guest()
    g.send(0, 1)
    g.its.clear(g.DEVICE, 0)
    assert g.take() == [1]
    assert g.vm.counts()["dropped"] == 1
    assert g.adds_up()


def test_int_makes_an_event_pending(guest):
    g = guest()
    g.its.int(g.DEVICE, 2)
    assert g.take() == [2]


def test_a_discarded_event_is_not_taken_by_its_device_any_more(guest):
    g = guest()
    assert g.send(0) == 1
    g.its.discard(g.DEVICE, 0)
    assert g.vm.signal_msi(g.DEVICE, 0) == 0
    assert g.adds_up()


def test_movi_moves_a_queued_lpi_when_its_old_vcpu_exits(guest, design):
    g = guest(vcpus=2)
    g.send(0)
    g.its.movi(g.DEVICE, 0, 1)
    # Where vCPUs have hints, the new one has its own at once.
    if not quirks(design).hints:
        assert g.vm.lpi(8192)["queued_on"] == 0
        assert g.take(1) == []
    assert g.take(0) == []
    assert g.vm.lpi(8192)["queued_on"] == 1
    assert g.take(1) == [0]
    assert g.vm.counts()["migrations"] == 1


def test_mapc_to_another_vcpu_moves_what_is_queued(guest):
    g = guest(vcpus=2)
    g.send(0, 1, 2)
    g.its.mapc(0, 1)
    assert g.take(0) == []
    assert sorted(g.take(1)) == [0, 1, 2]


def test_movall_moves_all_lpis_of_a_vcpu(guest, design):
    g = guest(vcpus=3)
    g.its.movi(g.DEVICE, 3, 2)
    g.send(0, 1, 2, 3)
    g.its.movall(0, 1)
    # A walk that finds nothing moves nothing.
    stays = quirks(design).empty_walk
    of_another = quirks(design).movall_takes_all
    # A vCPU hands over what it has queued and was moved.
    assert g.take(2) == ([] if of_another else [3])
    assert sorted(g.take(0)) == ([0, 1, 2] if stays else [])
    assert sorted(g.take(1)) == ([] if stays else [0, 1, 2, 3] if of_another else [0, 1, 2])


def test_movall_retargets_lpis_and_not_collections(guest, design):
    g = guest(vcpus=2)
    g.its.movall(0, 1)
    assert g.its.tables()["collections"] == [(vcpu, vcpu) for vcpu in range(len(g.vm.vcpu))]
    g.its.mapti(g.DEVICE, 9, 8201, 0)
    assert g.vm.lpi(8201)["target_vcpu"] == 0
    assert g.vm.lpi(8192)["target_vcpu"] == (0 if quirks(design).empty_walk else 1)


def test_an_event_that_is_mapped_keeps_its_mapping(guest):
    g = guest()
    g.its.mapti(g.DEVICE, 0, 9000, 0)
    g.send(0)
    assert g.take() == [0]
    assert g.vm.lpi(9000) is None


def test_events_of_an_unmapped_collection_stay_dead_until_mapped_anew(guest):
    g = guest(events=1)
    g.its.mapc(0, valid=False)
    assert g.send(0) == 0
    g.its.mapc(0, 0)
    assert g.send(0) == 0
    with pytest.raises(vgic.CommandError, match="DISCARD_UNMAPPED"):
        g.its.discard(g.DEVICE, 0)
    g.its.mapd(g.DEVICE, 4)
    g.its.mapti(g.DEVICE, 0, 8192, 0)
    assert g.send(0) == 1


def test_mapc_without_v_looks_at_the_vcpu_only_up_to_v6_9(guest, design):
    g = guest()
    try:
        g.its.mapc(0, len(g.vm.vcpu), valid=False)
    except vgic.CommandError as error:
        assert error.code == 0x010902  # noqa: PT017  (some designs accept it)
    assert ((0, 0) in g.its.tables()["collections"]) == quirks(design).mapc_checks_unmap


def test_enabling_the_lpis_of_a_vcpu_queues_those_of_others_from_v6_10_on(guest, design):
    g = guest(vcpus=2)
    g.vm.distributor_enabled = False
    g.send(0)
    g.vm.vcpu[1].lpis_enabled = False
    g.vm.distributor_enabled = True
    g.vm.vcpu[1].lpis_enabled = True
    assert g.vm.lpi(8192)["pending"]
    assert g.vm.vcpu[0].has_pending == quirks(design).walk_visits_all


# The cache.


def test_more_events_than_the_cache_holds_are_all_delivered(guest, design):
    g = guest(events=MANY, list_registers=16)
    for _ in range(3):
        assert g.send(*range(MANY)) == MANY
        assert sorted(g.take()) == list(range(MANY))
    limit = quirks(design).cache_limit
    assert g.vm.cached_translations == (MANY if limit is None else limit * len(g.vm.vcpu))
    assert (g.vm.counts()["cache_evictions"] > 0) == (limit is not None)


def test_the_cache_holds_sixteen_translations_per_vcpu_where_it_has_a_limit(guest, design):
    g = guest(events=MANY, vcpus=3)
    g.send(*range(MANY))
    limit = quirks(design).cache_limit
    assert g.vm.cached_translations == (MANY if limit is None else limit * len(g.vm.vcpu))


def test_an_evicted_translation_holds_no_reference(guest):
    g = guest(events=MANY)
    g.send(*range(MANY))
    g.take()
    references = [lpi["references"] - 1 for lpi in g.vm.lpis()]
    assert sum(references) == g.vm.cached_translations
    assert set(references) <= {0, 1}


EMPTIES = {
    "discard": lambda g: g.its.discard(g.DEVICE, 3),
    "movi": lambda g: g.its.movi(g.DEVICE, 3, 1),
    "movall": lambda g: g.its.movall(0, 1),
    "mapc without V": lambda g: g.its.mapc(1, valid=False),
    "mapd again": lambda g: g.its.mapd(9, 4),
    "mapd without V": lambda g: g.its.mapd(9, valid=False),
    "ITS off": lambda g: setattr(g.its, "enabled", False),
    "LPIs off": lambda g: setattr(g.vm.vcpu[1], "lpis_enabled", False),
}
KEEPS = {
    "mapc with V": lambda g: g.its.mapc(0, 1),
    "mapti": lambda g: g.its.mapti(g.DEVICE, 9, 8201, 0),
    "mapd of a new device": lambda g: g.its.mapd(10, 4),
    "clear": lambda g: g.its.clear(g.DEVICE, 0),
    "int": lambda g: g.its.int(g.DEVICE, 0),
    "inv": lambda g: g.its.inv(g.DEVICE, 0),
    "invall": lambda g: g.its.invall(0),
    "sync": lambda g: g.its.sync(),
    "movall to itself": lambda g: g.its.movall(1, 1),
    "distributor off": lambda g: setattr(g.vm, "distributor_enabled", False),
    "LPIs on": lambda g: setattr(g.vm.vcpu[1], "lpis_enabled", True),
    "ITS on": lambda g: setattr(g.its, "enabled", True),
}


def _cached_guest(guest):
    g = guest(vcpus=2)
    g.its.mapd(9, 4)
    g.send(0)
    g.take()
    assert g.vm.cached_translations == 1
    return g


#: Of these, what leaves the event's own translation as it is.
STALE_ELSEWHERE = {"discard", "movi", "movall", "mapd again", "mapd without V"}


@pytest.mark.parametrize("change", EMPTIES)
def test_a_change_that_may_make_a_translation_wrong_empties_the_cache(guest, design, change):
    g = _cached_guest(guest)
    EMPTIES[change](g)
    if quirks(design).forgets_stale and change in STALE_ELSEWHERE:
        assert g.cached(0)
        assert g.adds_up()
        return
    assert g.vm.cached_translations == 0
    assert not g.cached(0)
    assert g.adds_up()


@pytest.mark.parametrize("change", KEEPS)
def test_other_changes_keep_the_cache(guest, change):
    g = _cached_guest(guest)
    KEEPS[change](g)
    assert g.cached(0)
    assert g.adds_up()


def test_a_cache_of_one_its_is_emptied_alone(guest, design):
    g = guest(its=2)
    other = g.vm.its[1]
    other.mapc(0, 0)
    other.mapd(5, 4)
    other.mapti(5, 0, 9000, 0)
    g.send(0)
    g.vm.signal_msi_at(other.doorbell, 5, 0)
    other.enabled = False
    assert g.cached(0) == quirks(design).cache_per_its


# Switches and tables.


def test_sends_to_an_its_that_is_off_are_busy(guest):
    g = guest()
    g.its.enabled = False
    with pytest.raises(OSError) as caught:  # noqa: PT011  (the number is compared)
        g.vm.signal_msi(g.DEVICE, 0)
    assert caught.value.errno == errno.EBUSY
    assert g.adds_up()


def test_sends_to_a_vcpu_whose_lpis_are_off_are_busy(guest):
    g = guest()
    g.vm.vcpu[0].lpis_enabled = False
    with pytest.raises(OSError) as caught:  # noqa: PT011  (the number is compared)
        g.vm.signal_msi(g.DEVICE, 0)
    assert caught.value.errno == errno.EBUSY
    assert g.adds_up()


def test_an_unmapped_event_is_not_taken(guest):
    g = guest(events=1)
    assert (g.vm.signal_msi(g.DEVICE, 1), g.vm.signal_msi(7, 0)) == (0, 0)
    assert g.vm.counts()["dropped"] == 2


def test_switching_lpis_off_empties_the_queue(guest, design):
    g = guest()
    g.send(0)
    g.vm.vcpu[0].lpis_enabled = False
    assert not g.vm.vcpu[0].has_pending
    assert g.take() == []
    assert g.vm.lpi(8192)["pending"] == (not quirks(design).disable_clears_pending)
    assert g.adds_up()


def test_switching_lpis_off_and_on_with_saved_tables_loses_nothing(guest, design):
    g = guest()
    g.send(0, 2)
    g.vm.save_pending_tables()
    g.vm.vcpu[0].lpis_enabled = False
    g.vm.vcpu[0].lpis_enabled = True
    # A walk that finds nothing leaves the LPIs pending and unqueued.
    assert sorted(g.take()) == ([] if quirks(design).empty_walk else [0, 2])
    assert g.adds_up()


def test_the_pending_table_is_read_when_an_lpi_is_mapped(guest):
    g = guest(events=1)
    g.vm.write_pending_table(0, 8200, True)
    g.its.mapti(g.DEVICE, 8, 8200, 0)
    assert not g.vm.read_pending_table(0, 8200)
    assert g.take() == [8]
    assert g.vm.counts()["pending_loaded"] == 1


def test_pending_lpis_survive_in_another_vm_by_the_tables(guest):
    before = guest(vcpus=2, events=6)
    before.its.movi(before.DEVICE, 5, 1)
    before.send(1, 3, 5)
    before.vm.save_pending_tables()
    after = guest(vcpus=2, events=0)
    for vcpu in range(2):
        for intid in range(8192, 8198):
            after.vm.write_pending_table(vcpu, intid, before.vm.read_pending_table(vcpu, intid))
    for event in range(6):
        after.its.mapti(after.DEVICE, event, 8192 + event, event // 5)
    assert sorted(after.take(0)) == [1, 3]
    assert after.take(1) == [5]


def test_a_distributor_that_is_off_delivers_nothing(guest):
    g = guest()
    g.vm.distributor_enabled = False
    assert g.send(0) == 1
    assert not g.vm.vcpu[0].has_pending
    assert g.take() == []
    g.vm.distributor_enabled = True
    g.send(0)
    assert g.take() == [0]


# Several ITSes.


def test_each_its_is_found_by_its_doorbell(guest):
    g = guest(its=3)
    for number, its in enumerate(g.vm.its[1:], 1):
        its.mapc(0, 0)
        its.mapd(g.DEVICE, 4)
        its.mapti(g.DEVICE, 0, 9000 + number, 0)
    for _ in range(2):
        for its in g.vm.its:
            assert g.vm.signal_msi_at(its.doorbell, g.DEVICE, 0) == 1
        assert sorted(event + 8192 for event in g.take()) == [8192, 9001, 9002]


@pytest.mark.parametrize("offset", [-0x40, 4, 0x10000, 1 << 40])
def test_a_doorbell_of_no_its_is_invalid(guest, offset):
    g = guest()
    with pytest.raises(OSError) as caught:  # noqa: PT011  (the number is compared)
        g.vm.signal_msi_at(g.its.doorbell + offset, g.DEVICE, 0)
    assert caught.value.errno == errno.EINVAL
    assert g.adds_up()


def test_a_vm_without_its_has_no_such_device(design):
    vm = vgic.Vm(1, design, its=0)
    with pytest.raises(OSError) as caught:  # noqa: PT011  (the number is compared)
        vm.signal_msi(0, 0)
    assert caught.value.errno == errno.ENODEV


def test_an_lpi_of_two_events_lives_until_both_are_unmapped(guest):
    g = guest(events=1)
    g.its.mapti(g.DEVICE, 7, 8192, 0)
    assert g.send(0, 7) == 2
    assert g.take() == [0]
    g.its.discard(g.DEVICE, 0)
    assert g.send(7) == 1
    assert g.take() == [0]
    g.its.discard(g.DEVICE, 7)
    assert g.vm.lpi(8192) is None


def test_an_lpi_of_two_itses_lives_until_both_have_unmapped_it(guest):
    g = guest(its=2, events=1)
    other = g.vm.its[1]
    other.mapc(0, 0)
    other.mapd(g.DEVICE, 4)
    other.mapti(g.DEVICE, 0, 8192, 0)
    for its in g.vm.its:
        assert g.vm.signal_msi_at(its.doorbell, g.DEVICE, 0) == 1
    assert g.take() == [0]
    g.its.mapd(g.DEVICE, valid=False)
    assert g.vm.signal_msi_at(other.doorbell, g.DEVICE, 0) == 1
    assert g.take() == [0]
    other.discard(g.DEVICE, 0)
    assert g.vm.lpi(8192) is None


# The end.


def test_only_mappings_hold_references_once_all_is_taken_and_nothing_is_cached(guest):
    g = guest(events=8, vcpus=2)
    g.send(*range(8))
    g.its.mapc(0, 1)
    g.take(0)
    g.take(1)
    g.its.enabled = False
    assert g.vm.cached_translations == 0
    assert [lpi["references"] for lpi in g.vm.lpis()] == [1] * 8


def test_what_a_command_makes_stale_leaves_the_cache(guest, design):
    g = guest(events=4, vcpus=2)
    g.send(*range(4))
    g.its.discard(g.DEVICE, 3)
    assert g.vm.cached_translations == (3 if quirks(design).forgets_stale else 0)
    if not quirks(design).forgets_stale:
        return
    g.its.movi(g.DEVICE, 2, 1)
    assert g.vm.cached_translations == 3
    g.vm.vcpu[1].lpis_enabled = False
    g.send(0, 1)
    g.its.mapc(5, 1)
    g.its.movi(g.DEVICE, 1, 5)
    assert [g.cached(event) for event in range(4)] == [True, False, False, False]
    g.its.movall(0, 1)
    assert g.vm.cached_translations == 0


@pytest.mark.parametrize("state", ["idle", "cached", "queued", "active", "discarded"])
def test_a_vm_returns_all_memory_in_whatever_state_it_ends(guest, live_objects, state):
    before = live_objects()
    g = guest(events=40, vcpus=2, its=2)
    if state != "idle":
        g.send(*range(40))
    if state == "cached":
        g.take()
    elif state == "active":
        assert g.vm.vcpu[0].acknowledge() is not None
    elif state == "discarded":
        for event in range(40):
            g.its.discard(g.DEVICE, event)
    del g
    assert live_objects() == before


def test_unmapping_returns_the_memory_of_lpis_at_once(guest, live_objects):
    g = guest(events=0)
    before = live_objects()
    for event in range(40):
        g.its.mapti(g.DEVICE, event, 8192 + event, 0)
    g.send(*range(40))
    g.take()
    g.its.mapd(g.DEVICE, valid=False)
    after = live_objects()
    assert [after.get(name, 0) - before.get(name, 0) for name in ("vgic_irq", "its_ite", "its_device")] == [0, 0, -1]


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_design_is_refused_unless_the_caller_insists(name):
    with pytest.raises(vgic.UnsoundDesign, match=name):
        vgic.Vm(1, name)
    with pytest.raises(ValueError, match=f"{name} is unsound"):
        vgic._core.Vm(1, name)
    assert vgic.Vm(1, name, allow_unsound=True).design == name
