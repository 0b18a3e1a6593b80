"""Every public callable that takes numbers, and what it says of numbers that it does not take.

What is public and takes numbers is found by looking: a callable that is new has to be put among :data:`CALLS`, which
say how it is called, or among :data:`RECORDS`.
"""

import ast
import importlib
import inspect
import pickle
import re
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import vgic
from vgic import _core, calibrate, its, redist

#: Values of fields that the package fills in, and that callers read.
RECORDS = {
    "CommandFault", "Check", "Defect", "Prediction", "Proof", "Result", "ResultFile", "Sample", "SavedState",
    "Limit", "ScalePoint", "ScaleResult", "Story", "TorturePeriod", "TortureResult", "Usl", "Event",
    # Filled from files, whose readers check them.
    "Machine", "Mesh", "Classes", "Matrix", "Value", "Parameter", "PairStatistics", "RateRow", "RateTable",
    "Fit", "FittedValue", "Free", "MicroBench", "PredictedRow", "Residual", "Line", "ItsCommand",
    # Made by a VM.
    "Its", "Vcpu", "ItsFrame", "RedistributorFrame",
    # Entries of tables: `encode` and `decode` check.
    "CollectionEntry", "DeviceEntry", "IttEntry", "Level1Entry",
    # Made by a VM, or read from a file.
    "Topology", "Layout", "Region",
    # Fit and law over lists of numbers.
    "fit_usl", "Usl.at", "ScaleResult.of", "ScaleResult.point", "Prediction.sample", "ScaleResult.peak",
    "Free.amount", "RateTable.workload", "Machine.number", "Machine.matrix", "Machine.with_values",
    "Machine.with_matrix", "pair_statistics", "published_rate", "Parameter.check", "Parameter.to_core",
    "ResultFile.floor_multiple", "read_matrix", "check", "run",
}  # fmt: skip

#: ``vgic.machines`` is a function as well.
MODULES = (vgic, its, redist, importlib.import_module("vgic.machines"), calibrate)
RAM = 0x4000_0000
RECORDING = vgic.read_recording("virtio-4cpu")
SHORT = vgic.PredictedWorkload(vcpus=1, devices=1, events=1, iterations=2, warmup=0, gap_us=0)
STRESS = vgic.StressWorkload(iterations=1)


class Accepted(Exception):
    """The numbers were taken, and the work has begun."""


def begun(*_: object) -> bool:
    raise Accepted


def machine() -> vgic.Vm:
    """A VM with guest memory, in which device 1 is mapped."""
    vm = vgic.Vm(1, max_vcpus=2, memory=vgic.GuestMemory({RAM: bytearray(1 << 20)}))
    frame = vm.its[0].frame
    vm.vcpu[0].frame.set(vgic.GICR.PROPBASER, RAM | 15)
    vm.vcpu[0].frame.set(vgic.GICR.PENDBASER, RAM + 0x1_0000)
    frame.set(vgic.GITS.BASER0, 1 << 63 | RAM + 0x2_0000)
    frame.set(vgic.GITS.BASER1, 1 << 63 | RAM + 0x3_0000)
    vm.enable()
    vm.its[0].mapc(0)
    vm.its[0].mapd(1, itt_address=RAM + 0x4_0000)
    vm.its[0].mapti(1, 0, 8192, 0)
    return vm


def pooled(jobs: int) -> None:
    with vgic.local_executor(jobs):
        pass


def on(path: str, **arguments: Any) -> Callable[[], tuple[Callable, dict[str, Any]]]:
    """A method of a fresh VM, or of something that it has, with arguments that it takes."""

    def found() -> tuple[Callable, dict[str, Any]]:
        place: Any = machine()
        for name in path.split("."):
            place = place[0] if name == "0" else getattr(place, name)
        return place, arguments

    return found


def call(function: Callable, **arguments: Any) -> Callable[[], tuple[Callable, dict[str, Any]]]:
    return lambda: (function, arguments)


def appended(line: int, time_us: int, device: int, event: int) -> None:
    vgic.Recording("x").append(line, time_us, "msi", device, event)


@cache
def proof() -> vgic.Proof:
    return vgic.prove("send_vs_discard", "v6.7", vgic.ProofPlan(executions=2000))


def inserted(place: int, line: int, time_us: int, device: int, event: int) -> None:
    vgic.Recording("x").insert(place, line, time_us, "msi", device, event)


#: Name -> what is called, and arguments that it takes.
CALLS: dict[str, Callable[[], tuple[Callable, dict[str, Any]]]] = {
    "ClosedWorkload": call(vgic.ClosedWorkload),
    "PredictedWorkload": call(vgic.PredictedWorkload),
    "StressWorkload": call(vgic.StressWorkload),
    "ReplayWorkload": call(vgic.ReplayWorkload, recording=RECORDING),
    "RecordedWorkload": call(vgic.RecordedWorkload, recording=RECORDING),
    "Effort": call(vgic.Effort),
    "calibrate.Effort": call(calibrate.Effort),
    "ProofPlan": call(vgic.ProofPlan),
    "TorturePlan": call(vgic.TorturePlan),
    "prove_history": call(lambda seconds: vgic.prove_history([], seconds=seconds), seconds=1.0),
    "Point": call(lambda **given: vgic.Point(SHORT, "v7.1.8", **given).predict()),
    "Vm": call(vgic.Vm),
    "Design.path_counts": call(vgic.design("v7.1.8").path_counts),
    "Its.mapd": on("its.0.mapd", device_id=2),
    "Its.mapc": on("its.0.mapc", collection_id=1),
    "Its.mapti": on("its.0.mapti", device_id=1, event_id=1, intid=8193, collection_id=0),
    "Its.mapi": on("its.0.mapi", device_id=1, event_id=1, collection_id=0),
    "Its.movi": on("its.0.movi", device_id=1, event_id=0, collection_id=0),
    "Its.movall": on("its.0.movall", from_vcpu=0, to_vcpu=0),
    "Its.discard": on("its.0.discard", device_id=1, event_id=0),
    "Its.clear": on("its.0.clear", device_id=1, event_id=0),
    "Its.inv": on("its.0.inv", device_id=1, event_id=0),
    "Its.invall": on("its.0.invall", collection_id=0),
    "Its.sync": on("its.0.sync"),
    "Its.int": on("its.0.int", device_id=1, event_id=0),
    "Vcpu.acknowledge": on("vcpu.0.acknowledge"),
    "Vcpu.eoi": on("vcpu.0.eoi", intid=8192),
    "Vm.signal_msi": on("signal_msi", device_id=1, event_id=0),
    "Vm.signal_msi_at": on("signal_msi_at", doorbell=0x0809_0040, device_id=1, event_id=0),
    "Vm.signal_msis": on("signal_msis", device_ids=[1], event_ids=[0]),
    "Vm.write_config": on("write_config", intid=8192, byte=0xA1),
    "Vm.read_config": on("read_config", intid=8192),
    "Vm.write_pending_table": on("write_pending_table", vcpu=0, intid=8192, pending=True),
    "Vm.read_pending_table": on("read_pending_table", vcpu=0, intid=8192),
    "Vm.mmio_read": on("mmio_read", address=0x0808_0000, size=4),
    "Vm.mmio_write": on("mmio_write", address=0x0808_0000, size=4, value=1),
    "Vm.lpi": on("lpi", intid=8192),
    "Vm.plug": on("plug", number=1),
    "Vm.vcpu_of": on("vcpu_of", mpidr=0),
    "Topology.affinity": on("topology.affinity", number=0),
    "Topology.number": on("topology.number", affinity=0),
    "Topology.base": on("topology.base", number=0),
    "Topology.is_last": on("topology.is_last", number=0),
    "ItsFrame.read": on("its.0.frame.read", offset=0, size=4),
    "ItsFrame.write": on("its.0.frame.write", offset=0x1_0040, size=4, value=0, device_id=1),
    "ItsFrame.get": on("its.0.frame.get", offset=0),
    "ItsFrame.set": on("its.0.frame.set", offset=0x80, value=0),
    "ItsFrame.process": on("its.0.frame.process"),
    "RedistributorFrame.read": on("vcpu.0.frame.read", offset=0, size=4),
    "RedistributorFrame.write": on("vcpu.0.frame.write", offset=0x70, size=8, value=0),
    "RedistributorFrame.get_word": on("vcpu.0.frame.get_word", offset=0x70),
    "RedistributorFrame.set_word": on("vcpu.0.frame.set_word", offset=0x70, value=0),
    "KvmDevice.has": on("kvm_device.has", group=5, attr=0x70),
    "KvmDevice.get": on("kvm_device.get", group=5, attr=0x70),
    "KvmDevice.set": on("kvm_device.set", group=5, attr=0x70),
    "RedistributorFrame.get": on("vcpu.0.frame.get", offset=0),
    "RedistributorFrame.set": on("vcpu.0.frame.set", offset=0x70, value=0),
    "Machine.with_cores": call(vgic.machine("generic-arm64-4").with_cores, cores=2),
    "Classes.matrix": call(vgic.machine("generic-arm64-4").distance.matrix, cores=2),
    "Mesh.matrix": call(vgic.machine("altra-128").distance.matrix, cores=2),
    "Matrix.matrix": call(vgic.machine("generic-arm64").with_matrix([[0, 1], [1, 0]]).distance.matrix, cores=2),
    "Recording.append": call(appended, line=1, time_us=0, device=1, event=0),
    "Recording.insert": call(inserted, place=0, line=1, time_us=0, device=1, event=0),
    "Recording.time_at": call(RECORDING.time_at, place=0),
    "Story.laid_out": call(proof().stories[0].laid_out),
    "Story.state_at": call(proof().stories[0].state_at, line=0),
    "Proof.told": call(proof().told, story=proof().stories[0]),
    "predict": call(vgic.predict, workload=SHORT, machine="generic-arm64-2"),
    "run": call(vgic.run, workload=STRESS, poll=begun),
    "run_in_turn": call(vgic.run_in_turn, workload=STRESS, designs=["v7.1.8"], poll=begun),
    "find_limits": call(
        vgic.find_limits, designs=["v6.10"], machine="generic-arm64-2", workload=SHORT, progress=begun
    ),
    "scale": call(vgic.scale, designs=["gicv4"], cores=[1], workload=SHORT, progress=begun),
    "local_executor": call(pooled, jobs=1),
    "encode": call(its.encode, name="MAPTI", device_id=1, event_id=0, intid=8192, collection_id=0),
    "DeviceEntry.decode": call(its.DeviceEntry.decode, word=0),
    "CollectionEntry.decode": call(its.CollectionEntry.decode, word=0),
    "IttEntry.decode": call(its.IttEntry.decode, word=0),
    "Level1Entry.decode": call(its.Level1Entry.decode, word=0),
    "DeviceEntry.encode": call(
        lambda **fields: its.DeviceEntry(valid=True, **fields).encode(),
        next=0, itt_address=0, event_bits=1,
    ),
    "CollectionEntry.encode": call(
        lambda **fields: its.CollectionEntry(valid=True, **fields).encode(), vcpu=0, collection_id=0
    ),
    "IttEntry.encode": call(
        lambda **fields: its.IttEntry(**fields).encode(), next=0, intid=8192, collection_id=0
    ),
    "predict_curve": call(
        calibrate.predict_curve, machine=vgic.machine("graviton2"), curve=calibrate.contended_curves()[0], each=1
    ),
    "measure_here": call(calibrate.measure_here, seconds=0.1, progress=begun),
    "predict_rows": call(
        calibrate.predict_rows,
        table=calibrate.read_rates("published:v6.8-rc1"),
        machine=vgic.machine("generic-arm64-128"),
        design="v6.10",
        progress=begun,
    ),
}  # fmt: skip

#: The core's functions, which the package calls.
CORE: dict[str, Callable[[], tuple[Callable, dict[str, Any]]]] = {
    "path_counts": call(_core.path_counts, design="v7.1.8", deliver=True),
    "stress": call(_core.stress, design="v7.1.8", vcpus=1, devices=1, events=1, iterations=1, poll=begun),
    "floor": call(_core.floor, seconds=0.01),
    "replay": call(_core.replay, design="v7.1.8", program=RECORDING.program(), vcpus=4, poll=begun),
    "contended": call(
        _core.contended, machine=vgic.machine("generic-arm64-4").to_core(), how="add", threads=2, each=1
    ),
    "sample_cost": call(_core.sample_cost, what="load", seconds=0.01),
    "sample_ping_pong": call(_core.sample_ping_pong, cpu=0, other_cpu=0, seconds=0.01),
    "predict": call(
        _core.predict, design="v7.1.8", machine=vgic.machine("generic-arm64-2").to_core(),
        vcpus=1, devices=1, events=1, iterations=2, poll=begun,
    ),
    "predict_recorded": call(
        _core.predict_recorded, design="v7.1.8", machine=vgic.machine("generic-arm64-2").to_core(), vcpus=1,
        vectors=array("Q", [0, 0, 0]), sends=array("Q", [0, 1, 1]), handlers=array("Q"), moves=array("Q"),
    ),
    "predict_closed": call(
        _core.predict_closed, design="v7.1.8", machine=vgic.machine("generic-arm64-2").to_core(),
        vcpus=1, queues=1, in_flight=1, service_ps=1000, network_ps=1000, requests=2, poll=begun,
    ),
    "prove": call(
        _core.prove, scenario="send_vs_discard", design="v7.1.8", search="bounded", preemptions=1, depth=1, seed=1,
        executions=1, seconds=60.0, schedule=None, script=None, findings=1, stop=begun,
    ),
    "torture": call(
        _core.torture, design="v7.1.8", seed=1, seconds=0.1, period=0.1, vcpus=2, its=1, senders=1, devices=1,
        events=1, list_registers=4, watchdog=60.0, poison=False, scenarios=[], allow_unsound=False, strict=False,
        report=begun,
    ),
    "pin_to_cpu": call(_core.pin_to_cpu, cpu=0),
    "GuestMemory.map": lambda: (vgic.GuestMemory().map, {"address": RAM, "buffer": bytearray(8)}),
    "GuestMemory.map_callbacks": lambda: (
        vgic.GuestMemory().map_callbacks, {"address": RAM, "size": 8, "read": begun, "write": begun}
    ),
    "GuestMemory.unmap": lambda: (vgic.GuestMemory({RAM: bytearray(8)}).unmap, {"address": RAM}),
    "GuestMemory.contains": call(vgic.GuestMemory().contains, address=RAM, size=8),
    "GuestMemory.read": call(vgic.GuestMemory({RAM: bytearray(8)}).read, address=RAM, size=8),
    "GuestMemory.write": call(vgic.GuestMemory({RAM: bytearray(8)}).write, address=RAM, data=b"x"),
    "GuestMemory.read_u64": call(vgic.GuestMemory({RAM: bytearray(8)}).read_u64, address=RAM),
    "GuestMemory.write_u64": call(vgic.GuestMemory({RAM: bytearray(8)}).write_u64, address=RAM, value=1),
    "Translater.write": on("its.0.frame.translater.write", offset=0x40, value=0, device_id=1),
    "Vm": call(_core.Vm, vcpus=1, design="v7.1.8"),
    **{
        f"Vm.{name}": on(f"_core.{name}", **arguments)
        for name, arguments in {
            "doorbell": {"its": 0},
            "its_base": {"its": 0},
            "translater": {"its": 0},
            "set_propbaser": {"value": 0},
            "set_pendbaser": {"vcpu": 0, "value": 0},
            "set_baser": {"its": 0, "index": 0, "value": 0},
            "write_baser": {"its": 0, "index": 0, "value": 0},
            "table_entry": {"its": 0, "index": 0, "entry_id": 0},
            "signal_msi": {"device_id": 1, "event_id": 0},
            "signal_msi_at": {"doorbell": 0x0809_0040, "device_id": 1, "event_id": 0, "valid_device_id": True},
            "signal_msis": {"device_ids": memoryview(bytes(4)).cast("I"), "event_ids": memoryview(bytes(4)).cast("I")},
            "mapd": {"its": 0, "device_id": 2, "event_bits": 4, "itt_address": 0, "valid": True},
            "mapc": {"its": 0, "collection_id": 1, "vcpu": 0, "valid": True},
            "mapti": {"its": 0, "device_id": 1, "event_id": 1, "intid": 8193, "collection_id": 0},
            "mapi": {"its": 0, "device_id": 1, "event_id": 1, "collection_id": 0},
            "movi": {"its": 0, "device_id": 1, "event_id": 0, "collection_id": 0},
            "movall": {"its": 0, "from_vcpu": 0, "to_vcpu": 0},
            **{name: {"its": 0, "device_id": 1, "event_id": 0} for name in ("discard", "clear", "int", "inv")},
            "invall": {"its": 0, "collection_id": 0},
            "sync": {"its": 0, "vcpu": 0},
            "free_tables": {"its": 0, "devices": True, "collections": True},
            "restore": {"its": 0, "collections": [], "devices": []},
            "reload_lpi_config": {"intid": 8192},
            "reload_lpi_configs": {"vcpu": 0},
            "set_its_enabled": {"its": 0, "enabled": True},
            "its_enabled": {"its": 0},
            "set_lpis_enabled": {"vcpu": 0, "enabled": True},
            "lpis_enabled": {"vcpu": 0},
            "redistributor_ctlr": {"vcpu": 0},
            "write_config": {"intid": 8192, "byte": 0},
            "read_config": {"intid": 8192},
            "write_pending_table": {"vcpu": 0, "intid": 8192, "pending": True},
            "read_pending_table": {"vcpu": 0, "intid": 8192},
            "acknowledge": {"vcpu": 0},
            "highest_pending": {"vcpu": 0},
            "eoi": {"vcpu": 0, "intid": 8192},
            "has_pending": {"vcpu": 0},
            "told": {"vcpu": 0},
            "eventfd": {"vcpu": 0},
            "active_priorities": {"vcpu": 0},
            "set_active_priorities": {"vcpu": 0, "levels": 0},
            "set_present": {"vcpu": 0, "present": True},
            "is_present": {"vcpu": 0},
            "lpi": {"intid": 8192},
            "tables": {"its": 0},
            "pendbaser": {"vcpu": 0},
            "baser": {"its": 0, "index": 0},
        }.items()
    },
}  # fmt: skip

#: What names an argument, where that is not its own name.
SPOKEN = {"gap_us": "gap", "service_us": "service", "network_us": "network", "gap_ps": "gap", "service_ps": "service"}
SPOKEN |= {"network_ps": "network", "packet_us": "packet", "client_us": "client", "movi_us": "movi"}
SPOKEN |= {"packet_ps": "packet", "client_ps": "client", "movi_ps": "movi", "rx_moderation_ps": "rx_moderation"}
SPOKEN |= {"tx_moderation_ps": "tx_moderation"}
NUMBERS = re.compile(r"\b(int|float)\b")
NO_NUMBER = re.compile(r"\b(Callable|Sequence|Iterable|Mapping|dict|tuple|list|set)\b")


def numbers(annotations: dict[str, str]) -> dict[str, bool]:
    """The parameters that are one number -> whether it is a whole one."""
    return {
        name: "float" not in text
        for name, text in annotations.items()
        if NUMBERS.search(text) and not NO_NUMBER.search(text)
    }


def _annotations(function: Any) -> dict[str, str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return {}
    return {one.name: str(one.annotation) for one in parameters if one.kind is not one.VAR_KEYWORD}


def public() -> dict[str, dict[str, bool]]:
    """Every public callable that takes numbers, with these."""
    found = {}
    for module in MODULES:
        for name in module.__all__:
            thing = getattr(module, name)
            if not callable(thing) or getattr(thing, "__module__", "") == "vgic._core":
                continue
            known = "calibrate.Effort" if thing is calibrate.Effort else name
            found[known] = numbers(_annotations(thing))
            if inspect.isclass(thing):
                for member, value in vars(thing).items():
                    function = getattr(value, "__func__", value)
                    if not member.startswith("_") and inspect.isfunction(function):
                        found[f"{name}.{member}"] = numbers(_annotations(function))
    return {name: parameters for name, parameters in found.items() if parameters}


def core() -> dict[str, dict[str, bool]]:
    """The same for what the stub of the core says."""
    found = {}

    def look(prefix: str, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name in ("GuestMemory", "Translater", "Vm"):
                look(f"{node.name}.", node.body)
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.args, *node.args.kwonlyargs]
                texts = {one.arg: ast.unparse(one.annotation) for one in arguments if one.annotation}
                found[f"{prefix}{node.name}".removesuffix(".__new__")] = numbers(texts)

    look("", ast.parse(Path(vgic.__file__).with_name("_core.pyi").read_text(encoding="utf-8")).body)
    return {name: parameters for name, parameters in found.items() if parameters}


def test_every_callable_that_takes_numbers_is_tried():
    assert sorted(public().keys() - CALLS.keys() - RECORDS) == []
    assert sorted(core().keys() ^ (CORE.keys() & core().keys())) == []
    assert sorted(CORE.keys() - core().keys() - {"Vm.restore"}) == []


#: Parameters of callables that annotations do not tell, or that others take in a list.
MORE = {
    "encode": {"device_id": True, "event_id": True, "intid": True, "collection_id": True},
    "DeviceEntry.encode": {"next": True, "itt_address": True, "event_bits": True},
    "CollectionEntry.encode": {"vcpu": True, "collection_id": True},
    "IttEntry.encode": {"next": True, "intid": True, "collection_id": True},
    "Recording.append": {"line": True, "time_us": True, "device": True, "event": True},
    "Recording.insert": {"place": True, "line": True, "time_us": True, "device": True, "event": True},
    "Vm.signal_msi": {"device_id": True, "event_id": True},
    "Vm": {"its": True},
    "Point": {"seed": True},
}


def cases() -> Iterator[Any]:
    for kind, calls, found in (("vgic", CALLS, public()), ("_core", CORE, core())):
        for name, make in calls.items():
            parameters = dict(found.get(name, {}))
            if kind == "vgic":
                parameters |= MORE.get(name, {})
            for parameter, whole in parameters.items():
                yield pytest.param(make, parameter, whole, id=f"{kind}: {name}({parameter})")


def said(make: Callable, parameter: str, value: object) -> Exception | None:
    """What a call with this value for one parameter raises."""
    function, arguments = make()
    try:
        function(**arguments | {parameter: value})
    except Accepted:
        return None
    except Exception as error:
        return error
    return None


def names(error: Exception, parameter: str) -> bool:
    """Whether an error names the parameter, in its line or, as PyO3 does, in a note."""
    text = " ".join([str(error), *getattr(error, "__notes__", ())]).replace("-", "_")
    return any(re.search(rf"\b{name}\b", text) for name in (parameter, SPOKEN.get(parameter, parameter)))


@pytest.mark.parametrize(("make", "parameter", "whole"), [*cases()])
def test_a_number_that_is_not_taken_is_named(make, parameter, whole):
    for value in (-1, 2**31, 2**32, 2**63, 2**64, 10**5000, True):
        error = said(make, parameter, value)
        if error is None or isinstance(error, (vgic.CommandError, OSError)):
            continue  # Taken, or refused with an error of the architecture, or of the kernel.
        text, given = str(error), "10**5000" if value == 10**5000 else str(value)
        assert isinstance(error, (ValueError, TypeError)), f"{given}: {error!r}"
        # 1 may be too few, or too many, for something else.
        assert names(error, parameter) or value is True, f"{given}: {text}"
        assert len(text.splitlines()) == 1, text
        assert len(text) < 300, text


@pytest.mark.parametrize(("make", "parameter", "whole"), [*cases()])
def test_what_is_no_number_is_a_type_error(make, parameter, whole):
    for value in ("x", b"1", *([1.5, float("nan")] if whole else [])):
        error = said(make, parameter, value)
        # What is read from a file has an error of its own for whatever is wrong there.
        assert isinstance(error, (TypeError, vgic.MachineError)), f"{value!r}: {error!r}"
        assert names(error, parameter), f"{value!r}: {error}"


def test_a_time_is_finite():
    for value in (float("nan"), float("inf"), -0.5, 0):
        for make in (vgic.ProofPlan, vgic.StressWorkload, vgic.Effort, calibrate.measure_here):
            with pytest.raises(ValueError, match=r"^seconds: "):
                make(seconds=value)


def test_lists_of_numbers_are_named_too():
    for function, argument in ((vgic.scale, "cores"), (vgic.scale, "seeds")):
        for value in (-1, 2**64):
            with pytest.raises(vgic.WorkloadError, match=f"^{argument}: "):
                function(**{argument: [value]})
        for value in ("x", 1.5):
            with pytest.raises(TypeError, match=f"^{argument}: "):
                function(**{argument: [value]})
    for value in (-1, 2**52, 2**64):
        with pytest.raises(ValueError, match=r"^its must be 0 to"):
            vgic.Vm(1, its=[value])
    with pytest.raises(ValueError, match="device_ids: expected integers"):
        machine().signal_msis([-1], [0])


def test_a_key_of_the_regions_is_an_address():
    for value, kind in ((-1, ValueError), (2**64, ValueError), ("x", TypeError), (1.5, TypeError)):
        with pytest.raises(kind, match=r"^address must be"):
            vgic.GuestMemory({value: bytearray(8)})


def test_a_frame_does_not_execute_less_than_nothing():
    frame = machine().its[0].frame
    for value, kind in ((-1, ValueError), (2**64, ValueError), ("x", TypeError), (1.5, TypeError)):
        with pytest.raises(kind, match="commands_per_write must be"):
            frame.commands_per_write = value
    frame.commands_per_write = 3
    frame.commands_per_write = None


def test_nothing_to_compare_is_said():
    for arguments in ({"designs": []}, {"workloads": []}):
        (name,) = arguments
        with pytest.raises(ValueError, match=f"^{name}: none given$"):
            vgic.compare(**arguments)


def test_classes_of_the_core_are_known_by_their_public_names():
    for thing, name in (
        (vgic.GuestMemory, "vgic.GuestMemory"),
        (vgic.CommandError, "vgic.CommandError"),
        (its.Translater, "vgic.its.Translater"),
    ):
        assert f"{thing.__module__}.{thing.__qualname__}" == name
        assert repr(thing) == f"<class '{name}'>"
    memory = vgic.GuestMemory()
    assert repr(memory).startswith("<vgic.GuestMemory object")
    with pytest.raises(TypeError, match=r"cannot pickle 'vgic\.GuestMemory' object"):
        pickle.dumps(memory)
    with pytest.raises(vgic.CommandError) as caught:
        machine().its[0].mapc(0, vcpu=7)
    # Without its traceback, which other packages teach pickle to take along.
    pickled = pickle.dumps(caught.value.with_traceback(None))
    again = pickle.loads(pickled)
    assert type(again) is vgic.CommandError
    assert (str(again), again.code, again.name) == (str(caught.value), caught.value.code, caught.value.name)
    assert b"_core" not in pickled
    with pytest.raises(TypeError) as caught:
        vgic.Vm(1, memory=7)
    assert "_core" not in str(caught.value)
