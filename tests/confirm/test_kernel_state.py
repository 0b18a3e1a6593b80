"""A VM's state, read from the memory of a kernel that is made up: every structure has its own layout."""

import pytest

from vgic.confirm.btf import Field
from vgic.confirm.gdb import BadAddress
from vgic.confirm.kernel_state import KernelState, Unreadable
from vgic.prove.story import LpiAt, RegisterAt

#: Members in the order in which they lie, each with its bytes.
LAYOUTS = {
    "kvm": "devices:16 vcpu_array.xa_head:8 arch.vgic.lpi_xa.xa_head:8 arch.vgic.lpi_list_head:16 "
    "arch.vgic.lpi_translation_cache:16",
    "kvm_vcpu": "vcpu_id:4 mode:4 arch.vgic_cpu.ap_list_head:16 arch.vgic_cpu.vgic_v3.vgic_lr:128 "
    "arch.vgic_cpu.vgic_v3.used_lrs:4",
    "kvm_device": "vm_node:16 private:8 kvm:8",
    "vgic_its": "dev:8 device_list:16 translation_cache.xa_head:8",
    "its_device": "dev_list:16 itt_head:16",
    "its_ite": "ite_list:16 irq:8",
    "vgic_irq": "ap_list:16 lpi_list:16 intid:4 vcpu:8 target_vcpu:8 pending_latch:1 enabled:1 active:1 "
    "refcount.refcount.refs.counter:4",
    "vgic_translation_cache_entry": "entry:16 irq:8",
    "xa_node": "shift:8 slots:512",
    "vgic_dist": "lpi_xa:8",
}
OLD = LAYOUTS | {"vgic_dist": "lpi_list_head:16 lpi_translation_cache:16", "vgic_its": "dev:8 device_list:16"}
#: From 7.2 on the reference count of an LPI is no kref.
NEW = LAYOUTS | {"vgic_irq": LAYOUTS["vgic_irq"].replace("refcount.refcount", "refcount")}


class Memory:
    """Structures of these layouts, as a kernel of this kind has them."""

    def __init__(self, layouts):
        self.layouts = layouts
        self.bytes = {}
        self.next = 0xFFFF_0000_0000_0000

    def members(self, structure):
        """Name, offset and size of each."""
        offset = 0x10
        for word in self.layouts[structure].split():
            name, size = word.split(":")
            yield name, offset, int(size)
            offset += int(size) + 8

    def field(self, structure, path):
        for name, offset, size in self.members(structure):
            if name == path or name.startswith(f"{path}."):
                return Field(offset, size, 0, 8 * size)
        raise KeyError(path)

    def read(self, address, size, cpu=None):
        try:
            return bytes(self.bytes[address + at] for at in range(size))
        except KeyError:
            raise BadAddress(f"{address:#x}") from None

    def write(self, address, value, size):
        self.bytes.update({address + at: byte for at, byte in enumerate(value.to_bytes(size, "little"))})

    def set(self, base, structure, **values):
        for name, value in values.items():
            where = self.field(structure, name.replace("__", "."))
            self.write(base + where.offset, value, where.size)

    def new(self, structure, **values):
        base, self.next = self.next, self.next + 0x1000
        for at in range(0x1000):
            self.bytes[base + at] = 0
        for _, offset, size in self.members(structure):
            if size == 16:  # An empty list, or a link.
                self.write(base + offset, base + offset, 8)
        self.set(base, structure, **values)
        return base

    def link(self, base, structure, head, elements, element, link):
        """A list of these elements."""
        places = [base + self.field(structure, head).offset]
        places += [one + self.field(element, link).offset for one in elements]
        for one, after in zip(places, [*places[1:], places[0]], strict=True):
            self.write(one, after, 8)

    def tree(self, base, structure, member, slots):
        """An xarray of two levels with these pointers."""
        leaf = self.new("xa_node")
        top = self.new("xa_node", shift=6)
        offset = self.field("xa_node", "slots").offset
        for at, pointer in slots.items():
            self.write(leaf + offset + 8 * at, pointer, 8)
        self.write(top + offset + 8 * 2, leaf | 2, 8)
        self.write(base + self.field(structure, f"{member}.xa_head").offset, top | 2, 8)


@pytest.fixture(params=["6.12", "6.1", "7.2"])
def machine(request):
    """A VM with two vCPUs and two LPIs: one mapped, cached and queued, the other one queued alone."""
    old = request.param == "6.1"
    memory = Memory({"6.1": OLD, "6.12": LAYOUTS, "7.2": NEW}[request.param])
    kvm = memory.new("kvm")
    vcpus = [memory.new("kvm_vcpu", vcpu_id=number) for number in range(2)]
    memory.tree(kvm, "kvm", "vcpu_array", dict(enumerate(vcpus)))
    counter = next(name for name, *_ in memory.members("vgic_irq") if name.endswith(".counter")).replace(".", "__")
    first = memory.new("vgic_irq", intid=8192, target_vcpu=vcpus[1], pending_latch=1, enabled=1, **{counter: 3})
    second = memory.new("vgic_irq", intid=8200, active=1, **{counter: 1})
    private = memory.new("vgic_irq", intid=27, **{counter: 1})
    memory.link(vcpus[0], "kvm_vcpu", "arch.vgic_cpu.ap_list_head", [first, second, private], "vgic_irq", "ap_list")
    its, gic = memory.new("vgic_its"), memory.new("kvm_device")
    device = memory.new("kvm_device", private=its, kvm=kvm)
    memory.set(its, "vgic_its", dev=device)
    memory.link(kvm, "kvm", "devices", [gic, device], "kvm_device", "vm_node")
    guests, ite = memory.new("its_device"), memory.new("its_ite", irq=first)
    memory.link(its, "vgic_its", "device_list", [guests], "its_device", "dev_list")
    memory.link(guests, "its_device", "itt_head", [ite], "its_ite", "ite_list")
    if old:
        memory.link(kvm, "kvm", "arch.vgic.lpi_list_head", [first], "vgic_irq", "lpi_list")
        entries = [memory.new("vgic_translation_cache_entry", irq=irq) for irq in (first, 0)]
        head = "arch.vgic.lpi_translation_cache"
        memory.link(kvm, "kvm", head, entries, "vgic_translation_cache_entry", "entry")
    else:
        # Beside it a slot that is only reserved (XA_ZERO_ENTRY).
        memory.tree(kvm, "kvm", "arch.vgic.lpi_xa", {0: first, 1: 257 << 2 | 2})
        memory.tree(its, "vgic_its", "translation_cache", {5: first})
    memory.kvm, memory.vcpus, memory.its, memory.first = kvm, vcpus, its, first
    return memory


def look(machine):
    return KernelState(machine, machine, machine.kvm).read()


def test_everything_that_leads_to_an_lpi_is_found(machine):
    state, outside = look(machine)
    assert [lpi._replace(name="") for lpi in state.lpis] == [
        LpiAt(8192, "", 3, 0, 1, True, True, False, True, 1, 1),
        LpiAt(8200, "", 1, 0, -1, False, False, True, False, 0, 0),
    ]
    assert (state.registers, outside) == ((), {0, 1})


def test_list_registers_in_use(machine):
    base = machine.vcpus[1] + machine.field("kvm_vcpu", "arch.vgic_cpu.vgic_v3.vgic_lr").offset
    for at, lr in enumerate([8192 | 1 << 62, 8200 | 3 << 62, 27 | 1 << 62, 8193 | 1 << 62]):
        machine.write(base + 8 * at, lr, 8)
    machine.set(machine.vcpus[1], "kvm_vcpu", arch__vgic_cpu__vgic_v3__used_lrs=3)
    assert look(machine)[0].registers == (RegisterAt(1, 8192, True, False), RegisterAt(1, 8200, True, True))
    machine.set(machine.vcpus[1], "kvm_vcpu", mode=1)
    state, outside = look(machine)
    assert (state.registers, outside) == ((), {0}), "those of a vCPU in the guest are not in memory"


def test_memory_that_makes_no_sense_has_an_end(machine):
    head = machine.field("kvm_vcpu", "arch.vgic_cpu.ap_list_head").offset
    link = machine.first + machine.field("vgic_irq", "ap_list").offset
    machine.write(link, link, 8)
    with pytest.raises(Unreadable, match="ap_list_head has no end"):
        look(machine)
    machine.write(machine.vcpus[0] + head, 0xDEAD, 8)
    with pytest.raises(Unreadable, match="0xdead"):
        look(machine)


def test_a_tree_in_a_circle_has_an_end(machine):
    leaf = machine.new("xa_node")
    for at in range(64):
        machine.write(leaf + machine.field("xa_node", "slots").offset + 8 * at, leaf | 2, 8)
    machine.write(machine.kvm + machine.field("kvm", "vcpu_array.xa_head").offset, leaf | 2, 8)
    with pytest.raises(Unreadable, match="vcpu_array has no end"):
        look(machine)


def test_a_structure_of_another_kernel(machine):
    machine.layouts = machine.layouts | {"its_ite": "ite_list:16"}
    with pytest.raises(Unreadable, match="irq"):
        look(machine)
