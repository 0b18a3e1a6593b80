import contextlib
import gc
import io

import pytest
from hypothesis import HealthCheck, settings

from command import run_here

# On a busy machine, and under an emulator, an example may take any time.
settings.register_profile("vgic", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vgic")

LOG = """\
gicv3_its_write GICv3 ITS write: offset 0x0 data 0x80000001 size 4
gicv3_redist_write GICv3 redistributor 0x0 write: offset 0x0 data 0x3 size 4 secure 0
gicv3_redist_write GICv3 redistributor 0x1 write: offset 0x0 data 0x3 size 4 secure 0
gicv3_redist_write GICv3 redistributor 0x1 write: offset 0x10100 data 0x1 size 4 secure 0
gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x0 RDbase 0x0 V 1
gicv3_its_cmd_sync GICv3 ITS: command SYNC
gicv3_its_cmd_invall GICv3 ITS: command INVALL
gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x1 RDbase 0x1 V 1
gicv3_its_cmd_invall GICv3 ITS: command INVALL
gicv3_its_cmd_mapd GICv3 ITS: command MAPD DeviceID 0x8 Size 0x2 ITT_addr 0x43f514 V 1
gicv3_its_cmd_mapti GICv3 ITS: command MAPTI DeviceID 0x8 EventID 0x0 ICID 0x0 pINTID 0x2000
gicv3_its_cmd_mapti GICv3 ITS: command MAPTI DeviceID 0x8 EventID 0x1 ICID 0x1 pINTID 0x2001
gicv3_its_cmd_inv GICv3 ITS: command INV DeviceID 0x8 EventID 0x0
gicv3_its_translation_write GICv3 ITS TRANSLATER write: offset 0x40 data 0x0 size 4 requester_id 0x8
gicv3_its_dte_read GICv3 ITS: Device Table read for DeviceID 0x8: valid 1 size 0x2 ITTaddr 0x43f51400
gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x0 value 0x1b
gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x0 value 0x2000
gicv3_icc_eoir_write GICv3 ICC_EOIR1 write cpu 0x0 value 0x2000
gicv3_its_translation_write GICv3 ITS TRANSLATER write: offset 0x40 data 0x1 size 4 requester_id 0x8
gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x1 value 0x2001
gicv3_icc_eoir_write GICv3 ICC_EOIR1 write cpu 0x1 value 0x2001
"""

RAW_SAMPLE = {
    "design": "v6.10",
    "mode": "lockstep",
    "sent": 100,
    "accepted": 95,
    "delivered": 60,
    "coalesced": 30,
    "dropped": 5,
    "pending": 7,
    "pending_loaded": 2,
    "cache_hits": 1,
    "cache_misses": 2,
    "cache_evictions": 3,
    "guest_entries": 4,
    "guest_exits": 5,
    "entries_cancelled": 6,
    "kicks": 7,
    "wakes": 8,
    "migrations": 9,
    "grace_periods": 10,
    "seconds": 2.0,
    "cpu_seconds": 0.5,
    "grace_period_seconds": 0.25,
}


def pytest_collection_finish():
    """What was collected stays: a test that collects garbage need not look at thousands of other tests again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def log_text() -> str:
    """A guest with two vCPUs, one device and two MSIs, without prefixes."""
    return LOG


@pytest.fixture
def raw_sample() -> dict:
    """What the core returns for a run that adds up."""
    return dict(RAW_SAMPLE)


@pytest.fixture
def vgic_command(tmp_path, monkeypatch):
    """Runs ``vgic`` in an empty directory, without a terminal, as wide as ``columns``."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.argv", ["vgic", *arguments])
        with contextlib.chdir(tmp_path):
            return run_here(arguments)

    return run
