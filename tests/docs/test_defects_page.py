"""What docs/make_defects.py writes is of the catalogue as it is: no row is missing, none is of an older one."""

import re

import pytest
from pages import read

from vgic.prove.defects import defects

MODELLED = [one for one in defects() if not one.of_kernels_alone]


def between(page, mark):
    """What stands between ``<!-- mark -->`` and ``<!-- end of mark -->``."""
    return read(page).split(f"<!-- {mark} -->\n", 1)[1].split(f"<!-- end of {mark} -->", 1)[0]


def cells(table):
    """The rows of a table, without its head."""
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]


def test_the_table_of_defects_has_each_of_them_with_the_designs_that_were_searched():
    rows = cells(between("docs/explain/defects.md", "history"))
    searched = [(row[0], row[1], *(re.findall(r"`([\w.-]+)`", cell) for cell in row[2:])) for row in rows]
    assert searched == [
        (f"[{one.id}](#{one.id.lower()})", f"`{one.scenario}`", list(one.found_in), list(one.absent_in))
        for one in MODELLED
    ]


@pytest.mark.parametrize("one", defects(), ids=lambda one: one.id)
def test_each_defect_has_its_section(one):
    mark, level = ("kernels", "###") if one.of_kernels_alone else ("stories", "##")
    assert f"\n{level} {one.id}\n" in between("docs/explain/defects.md", mark)


def test_the_table_of_hardened_has_what_it_tells():
    told = [f"`{one.scenario}`" for one in MODELLED if one.told.startswith("hardened.md#")]
    assert [row[0] for row in cells(between("docs/explain/hardened.md", "explored"))] == told
