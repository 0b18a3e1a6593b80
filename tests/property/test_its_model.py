"""Any sequence of operations of one thread does to a VM what it does to a small model, in every design."""

import errno
from contextlib import suppress

import pytest
from hypothesis import assume, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from its_model import Model, Rejected
from memory import left_since
from quirks import SOUND, quirks

import vgic

#: What two vCPUs hide, a third one shows; nine are more than one group of anything.
VCPUS, ITSES = (1, 2, 4, 9), 2
ITS = st.integers(0, ITSES - 1)
#: Reduced to the vCPUs that there are, or to one more than there are.
VCPU = st.integers(0, max(VCPUS) - 1)
ANY_VCPU = st.integers(0, max(VCPUS))
DEVICE = st.sampled_from([0, 1, 2, 0xFFFF, 0x10000])
EVENT = st.sampled_from([0, 1, 2, 3, 8193, 0x10000])
BITS = st.sampled_from([1, 2, 14, 16, 17])
COLLECTION = st.sampled_from([0, 1, 2, 3, 0x10000])
LPIS = [8192, 8193, 8194, 8195, 8200, 65535]
INTID = st.sampled_from([*LPIS, 8191, 65536])
LPI = st.sampled_from(LPIS)
BYTE = st.sampled_from([0x00, 0x01, 0x81, 0xA0, 0xA1, 0xA4, 0xA5, 0xFF])
SWITCH = st.sampled_from([True, True, True, False])


def outcome(operation):
    """What an operation returns, or the error that it raises."""
    try:
        return operation()
    except (vgic.CommandError, Rejected) as rejected:
        return f"ITS error {rejected.code:#x}"
    except OSError as error:
        return errno.errorcode[error.errno]


class ItsMachine(RuleBasedStateMachine):
    """Runs each operation on a VM and on the model, and compares what can be seen."""

    design: str

    @initialize(vcpus=st.sampled_from(VCPUS), booted=st.booleans(), list_registers=st.sampled_from([1, 2, 4, 16]))
    def start(self, vcpus: int, booted: bool, list_registers: int) -> None:
        self.before = vgic._core.live_objects()
        self.vcpus = vcpus
        self.vm = vgic.Vm(self.vcpus, self.design, its=ITSES, list_registers=list_registers)
        self.model = Model(quirks(self.design), vcpus=self.vcpus, its=ITSES, list_registers=list_registers)
        if not booted:
            return
        self.vm.enable()
        for vcpu in range(self.vcpus):
            self.model.set_lpis_enabled(vcpu, True)
        for its in range(ITSES):
            self.model.set_its_enabled(its, True)
            for number in range(self.vcpus):
                self.mapc(its, number, number, True)
            for device in range(2):
                self.mapd(its, device, 16, 0, True)
                for event in range(3):
                    self.mapti(its, device, event, LPIS[(3 * device + event + its) % len(LPIS)], event)

    def both(self, real, modelled):
        """Run both; they return the same, or fail alike."""
        assert outcome(real) == outcome(modelled)

    # MSIs.

    @rule(its=ITS, device=DEVICE, event=EVENT)
    def signal(self, its, device, event):
        doorbell = self.vm.its[its].doorbell
        self.both(lambda: self.vm.signal_msi_at(doorbell, device, event), lambda: self.model.signal(its, device, event))

    @rule(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=12), its=ITS)
    def signal_many(self, pairs, its):
        taken = 0
        for device, event in pairs:
            with suppress(OSError):
                taken += self.model.signal(its, device, event)
        assert self.vm.signal_msis(*zip(*pairs, strict=True), its=its) == taken

    @rule(device=DEVICE, event=EVENT)
    def signal_to_the_first_its(self, device, event):
        self.both(lambda: self.vm.signal_msi(device, event), lambda: self.model.signal(0, device, event))

    @rule(its=ITS, device=DEVICE, event=EVENT)
    def signal_without_device_id_flag(self, its, device, event):
        doorbell = self.vm.its[its].doorbell
        self.both(
            lambda: self.vm.signal_msi_at(doorbell, device, event, valid_device_id=False),
            lambda: self.model.signal(its, device, event, valid=False),
        )

    @rule(its=ITS, offset=st.sampled_from([-0x40, -4, 4, 0x10000, 0x100000]), device=DEVICE, event=EVENT)
    def signal_to_no_doorbell(self, its, offset, device, event):
        doorbell = self.vm.its[its].doorbell + offset
        self.both(
            lambda: self.vm.signal_msi_at(doorbell, device, event), lambda: self.model.signal(None, device, event)
        )

    # Commands.

    @rule(its=ITS, device=DEVICE, bits=BITS, itt=st.sampled_from([0, 0x4000_0000]), valid=SWITCH)
    def mapd(self, its, device, bits, itt, valid):
        self.both(
            lambda: self.vm.its[its].mapd(device, bits, itt_address=itt, valid=valid),
            lambda: self.model.mapd(its, device, bits, itt, valid),
        )

    @rule(its=ITS, collection=COLLECTION, vcpu=ANY_VCPU, valid=SWITCH)
    def mapc(self, its, collection, vcpu, valid):
        vcpu %= self.vcpus + 1
        self.both(
            lambda: self.vm.its[its].mapc(collection, vcpu, valid=valid),
            lambda: self.model.mapc(its, collection, vcpu, valid),
        )

    @rule(its=ITS, device=DEVICE, event=EVENT, intid=INTID, collection=COLLECTION)
    def mapti(self, its, device, event, intid, collection):
        self.both(
            lambda: self.vm.its[its].mapti(device, event, intid, collection),
            lambda: self.model.mapti(its, device, event, intid, collection),
        )

    @rule(its=ITS, device=DEVICE, event=EVENT, collection=COLLECTION)
    def mapi(self, its, device, event, collection):
        self.both(
            lambda: self.vm.its[its].mapi(device, event, collection),
            lambda: self.model.mapti(its, device, event, event, collection),
        )

    @rule(its=ITS, device=DEVICE, event=EVENT, collection=COLLECTION)
    def movi(self, its, device, event, collection):
        self.both(
            lambda: self.vm.its[its].movi(device, event, collection),
            lambda: self.model.movi(its, device, event, collection),
        )

    @rule(its=ITS, old=ANY_VCPU, new=ANY_VCPU)
    def movall(self, its, old, new):
        old, new = old % (self.vcpus + 1), new % (self.vcpus + 1)
        self.both(lambda: self.vm.its[its].movall(old, new), lambda: self.model.movall(its, old, new))

    @rule(its=ITS, command=st.sampled_from(["discard", "clear", "int", "inv"]), device=DEVICE, event=EVENT)
    def event_command(self, its, command, device, event):
        self.both(
            lambda: getattr(self.vm.its[its], command)(device, event),
            lambda: getattr(self.model, command)(its, device, event),
        )

    @rule(its=ITS, collection=COLLECTION)
    def invall(self, its, collection):
        self.both(lambda: self.vm.its[its].invall(collection), lambda: self.model.invall(its, collection))

    # Tables and control registers.

    @rule(intid=LPI, byte=BYTE)
    def write_config(self, intid, byte):
        self.vm.write_config(intid, byte)
        self.model.config[intid] = byte

    @rule(intid=LPI, byte=BYTE, its=ITS, device=st.integers(0, 1), event=st.integers(0, 2))
    def configure(self, intid, byte, its, device, event):
        self.write_config(intid, byte)
        self.event_command(its, "inv", device, event)

    @rule(vcpu=VCPU, intid=LPI, pending=st.booleans())
    def write_pending_table(self, vcpu, intid, pending):
        vcpu %= self.vcpus
        self.vm.write_pending_table(vcpu, intid, pending)
        self.model.write_pending_table(vcpu, intid, pending)

    @rule()
    def save_pending_tables(self):
        self.vm.save_pending_tables()
        self.model.save_pending_tables()

    @rule(its=ITS, on=SWITCH)
    def switch_its(self, its, on):
        self.vm.its[its].enabled = on
        self.model.set_its_enabled(its, on)

    @rule(vcpu=VCPU, on=SWITCH)
    def switch_lpis(self, vcpu, on):
        vcpu %= self.vcpus
        self.vm.vcpu[vcpu].lpis_enabled = on
        self.model.set_lpis_enabled(vcpu, on)

    @rule(on=SWITCH)
    def switch_distributor(self, on):
        self.vm.distributor_enabled = on
        self.model.set_distributor_enabled(on)

    # vCPUs.

    def take(self, vcpu):
        vcpu %= self.vcpus
        choices = self.model.choices(vcpu)
        taken = self.vm.vcpu[vcpu].acknowledge()
        note(f"taken: {taken}")
        assert taken in choices if choices else taken is None
        self.model.acknowledge(vcpu, taken)
        return taken

    @rule(vcpu=VCPU)
    def acknowledge(self, vcpu):
        self.take(vcpu)

    @rule(vcpu=VCPU, intid=LPI)
    def eoi(self, vcpu, intid):
        vcpu %= self.vcpus
        # More active ones than registers: which of them can be ended depends on the order of the queue.
        assume(len(self.model.active_on(vcpu)) <= self.model.list_registers)
        self.vm.vcpu[vcpu].eoi(intid)
        self.model.eoi(vcpu, intid)

    @rule(vcpu=VCPU, most=st.integers(1, 12))
    def serve(self, vcpu, most):
        for _ in range(most):
            taken = self.take(vcpu)
            if taken is None:
                break
            self.eoi(vcpu, taken)

    # What can be seen.

    @invariant()
    def everything_is_as_in_the_model(self):
        assert self.vm.lpis() == self.model.seen_lpis()
        for number, its in enumerate(self.vm.its):
            assert its.tables() == self.model.seen_tables(number)
            assert its.enabled == self.model.its[number].enabled
        for number, vcpu in enumerate(self.vm.vcpu):
            assert vcpu.lpis_enabled == self.model.lpis_enabled[number]
            assert vcpu.has_pending == self.model.has_pending(number)
            for intid in LPIS:
                assert self.vm.read_pending_table(number, intid) == ((number, intid) in self.model.pending_table)
        assert self.vm.distributor_enabled == self.model.distributor
        assert self.vm.cached_translations == sum(len(its.cached) for its in self.model.its)

    @invariant()
    def every_send_is_accounted_for(self):
        counts = self.vm.counts()
        assert {name: counts[name] for name in self.model.counts} == self.model.counts
        assert counts["pending"] == self.model.pending
        ends = counts["delivered"] + counts["coalesced"] + counts["dropped"] + counts["pending"]
        assert counts["sent"] + counts["pending_loaded"] == ends

    def teardown(self):
        if not hasattr(self, "vm"):
            return
        del self.vm
        assert left_since(self.before) == {}


@pytest.mark.parametrize("design", SOUND)
def test_a_vm_behaves_as_the_model_does(design):
    machine = type("ItsMachine", (ItsMachine,), {"design": design})
    run_state_machine_as_test(machine)
