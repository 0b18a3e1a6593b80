"""Predictions that the documentation shows are those of the command beside them, byte for byte."""

import runpy

import pytest
from pages import ROOT, pages, read

refresh = runpy.run_path(str(ROOT / "docs" / "refresh_predictions.py"))

SHOWN = [(page, block) for page in pages() for block in refresh["marked_blocks"](read(page))]


def test_some_are_shown():
    assert any(refresh["commands_of"](block) for _, block in SHOWN)


@pytest.mark.parametrize(("page", "block"), [pytest.param(*shown, id=shown[0]) for shown in SHOWN])
def test_a_prediction_is_what_its_command_prints(page, block):
    assert block == refresh["refreshed"](block), f"{page}: run .venv/bin/python docs/refresh_predictions.py"


def test_the_picture_is_what_scale_draws():
    drawn = refresh["PICTURE"].read_text(encoding="utf-8")
    assert drawn == refresh["scale_picture"](), "run .venv/bin/python docs/refresh_predictions.py"


def test_a_block_has_commands_with_their_output():
    block = "$ vgic predict -v 2 \\\n    -d 2\nfirst\n\nsecond\n$ vgic predict\nthird\n"
    page = f"Text\n{refresh['BEGIN']}\n```console\n{block}```\n{refresh['END']}\n"
    assert refresh["marked_blocks"](page) == [block]
    assert refresh["commands_of"](block) == ["$ vgic predict -v 2 \\\n    -d 2\n", "$ vgic predict\n"]


def test_a_block_that_is_not_closed_is_told():
    with pytest.raises(ValueError, match="console"):
        refresh["marked_blocks"](f"{refresh['BEGIN']}\n```text\n```\n{refresh['END']}\n")
