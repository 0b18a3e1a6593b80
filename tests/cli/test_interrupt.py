"""Ctrl-C in the middle: what was finished is printed, no file is written, status 130."""

import os

import pytest

import vgic
from vgic.cli import common, main

CASES = {
    "prove": (["prove", "--scenario", "send_vs_discard,walk_vs_discard,xarray,mix", "--preemptions", "1"], "searched"),
    "scale": (["scale", "--cores", "2,4,8", "--sends", "2000", "--design", "v6.8-rc1,v6.10"], "Until it was"),
    "predict": (["predict", "--design", "v6.8-rc1,v6.10,v7.1.8,gicv4", "-i", "20"], "Rate: "),
    "designs": (["designs", "--kernel", "6.6.87", "--machine", "generic-arm64-8"], "What later designs would bring"),
    "compare": (["compare", "--quick", "--design", "v6.10,v7.1.8"], "Until it was interrupted"),
    "stress": (
        ["stress", "--mode", "lockstep", "--repeat", "4", "--seconds", "0.2", "--design", "v6.10,v7.1.8"],
        "Rate: ",
    ),
}


@pytest.mark.parametrize("command", CASES)
def test_what_was_finished_is_printed_and_nothing_is_written(command, capsys, tmp_path, monkeypatch):
    class Progress(common.Progress):
        def update(self, task, *, completed, **values):
            if completed >= 0.6:
                raise KeyboardInterrupt
            super().update(task, completed=completed, **values)

    monkeypatch.setattr(common, "Progress", Progress)
    monkeypatch.chdir(tmp_path)
    arguments, text = CASES[command]
    assert main([*arguments, "--json", "out.json"]) == 130
    told = capsys.readouterr()
    assert text in told.out
    assert told.err.endswith("vgic: interrupted\n")
    assert os.listdir(tmp_path) == []


def test_a_caller_gets_what_was_finished():
    def stop(share, _=""):
        if share >= 0.6:
            raise KeyboardInterrupt

    load = vgic.StressWorkload(mode="lockstep", seconds=0.2)
    with pytest.raises(vgic.Interrupted) as stopped:
        vgic.run_in_turn(load, ["v6.10", "v7.1.8"], 4, poll=stop)
    assert [result.design for result in stopped.value.finished] == ["v6.10", "v7.1.8"]
    assert all(2 <= len(result.samples) <= 3 for result in stopped.value.finished)
    points = [vgic.Point(vgic.PredictedWorkload(vcpus=2, devices=2, iterations=5), "v6.10", seed=n) for n in range(5)]
    with pytest.raises(vgic.Interrupted) as stopped:
        vgic.predict_many(points, progress=stop)
    expected = vgic.predict_many(points)
    for point, found in stopped.value.finished:
        assert found == expected[point.seed]
    assert 0 < len(stopped.value.finished) < 5
    with pytest.raises(vgic.Interrupted) as stopped:
        vgic.compare(["v6.10"], [load], vgic.Effort(2, 2, 0.001), progress=lambda *_: stop(1.0))
    assert len(stopped.value.finished.results) == 1
    with pytest.raises(KeyboardInterrupt):
        vgic.run_in_turn(load, poll=lambda _: stop(1.0), designs=["v6.10"])
