"""A closed loop with the batching of a recorded guest: as many MSIs a request as it had.

A recording has the MSIs, but not the requests, nor what is between them: how many were answered, how many were in
flight, and what the guest and the network spent on one has to be told. What follows is one number, the moderation: with
an interrupt of a queue that often and no more, the loop has the recorded number of MSIs a request.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from vgic.arguments import whole
from vgic.errors import WorkloadError
from vgic.machines import Machine
from vgic.predict.prediction import DEFAULT_MACHINE, predict
from vgic.predict.workload import ClosedWorkload
from vgic.trace import Recording
from vgic.trace.summary import VectorSummary, summarize

__all__ = ["Batching", "batched_as"]

#: A vector is one of the NIC's if it has this share of the MSIs of the busiest one of its device.
_BUSY = 0.25
#: The moderation is found when the number of MSIs is as near as that, or after so many halvings.
_NEAR = 0.02
_HALVINGS = 16
#: The design with which it is found; the number hardly depends on it.
_DESIGN = "v7.3"
#: Requests of a prediction on the way.
_REQUESTS = 4000
_LEAST_US, _MOST_US = 0.1, 1e6


@dataclass(frozen=True, slots=True)
class Batching:
    """What a recording said, and the loop that has as many MSIs a request."""

    #: MSIs of the NIC's vectors, and the requests that were answered meanwhile.
    msis: int
    requests: int
    #: How many vectors the NIC has: half of them RX, half TX.
    vectors: int
    #: The loop, with its pairs of queues, vCPUs and moderation.
    workload: ClosedWorkload
    #: What the loop has, as predicted.
    predicted: float

    @property
    def per_request(self) -> float:
        """MSIs a request, as recorded."""
        return self.msis / self.requests


def _busy(vectors: list[VectorSummary]) -> list[VectorSummary]:
    """The vectors of the NIC: the busy ones of the device that sends most."""
    by_device: dict[int, list[VectorSummary]] = {}
    for vector in vectors:
        by_device.setdefault(vector.device, []).append(vector)
    most = max(by_device.values(), key=lambda all_of: sum(vector.msis for vector in all_of), default=[])
    busiest = max((vector.msis for vector in most), default=0)
    return [vector for vector in most if vector.msis and vector.msis >= _BUSY * busiest]


def batched_as(
    recording: Recording,
    requests: int,
    workload: ClosedWorkload,
    *,
    queues: int | None = None,
    machine: str | Machine = DEFAULT_MACHINE,
    poll: Callable[[float], None] | None = None,
) -> Batching:
    """Find the moderation with which a loop has as many MSIs a request as a recorded guest.

    ``requests``: answered in the recording, or in the stretch of it, 1 to 10**12. ``workload``: the load, with
    ``napi``; its queues and vCPUs become the recorded ones, unless ``queues`` (1 to 512) says that the vectors are no
    pairs.
    ``machine``: on which it will run. ``poll`` is told the share that is done.

    A guest that had more MSIs a request than the loop has without any moderation gets none.
    """
    whole("requests", requests, 1, 10**12, error=WorkloadError)
    if workload.interrupts != "napi":
        raise WorkloadError("interrupts: only a loop with napi can be batched as a recording was")
    vectors = _busy(summarize(recording).vectors)
    msis = sum(vector.msis for vector in vectors)
    if not vectors:
        raise WorkloadError(f"{recording.name}: it has no MSIs")
    if queues is None and len(vectors) % 2:
        raise WorkloadError(f"queues: the recording's NIC has {len(vectors)} busy vectors, which are no pairs: give it")
    loop = replace(
        workload,
        queues=len(vectors) // 2 if queues is None else queues,
        vcpus=max(1, recording.vcpus),
        requests=_REQUESTS,
    )
    wanted = msis / requests

    def at(moderation: float) -> float:
        load = replace(loop, rx_usecs=moderation, tx_usecs=moderation)
        return predict(load, _DESIGN, machine).interrupts_per_request

    # What was tried, by how far off it is; of equals the least moderation.
    tried = [(at(0.0), 0.0)]
    low, high = _LEAST_US, _MOST_US
    while tried[-1][0] > wanted * (1 + _NEAR) or (len(tried) > 1 and tried[-1][0] < wanted * (1 - _NEAR)):
        if poll is not None:
            poll(len(tried) / _HALVINGS)
        if len(tried) == _HALVINGS:
            break
        # By the logarithm, since what matters may be a microsecond or ten milliseconds.
        moderation = round((low * high) ** 0.5, 3)
        tried.append((at(moderation), moderation))
        low, high = (moderation, high) if tried[-1][0] > wanted else (low, moderation)
    predicted, moderation = min(tried, key=lambda one: (abs(one[0] - wanted), one[1]))
    found = replace(loop, rx_usecs=moderation, tx_usecs=moderation, requests=workload.requests)
    return Batching(msis, requests, len(vectors), found, predicted)
