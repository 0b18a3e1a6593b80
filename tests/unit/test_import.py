"""Importing the package and asking for its version load what they need, and nothing that takes long."""

import json
import subprocess
import sys

import pytest

import vgic

#: What takes long to import, or is for one command alone.
HEAVY = {
    *("asyncio", "concurrent", "jinja2", "multiprocessing", "numpy", "rich", "tomllib"),
    *("vgic.calibrate", "vgic.confirm", "vgic.designs", "vgic.kernels", "vgic.machines", "vgic.measure"),
    *("vgic.predict", "vgic.prove", "vgic.report", "vgic.trace", "vgic.vm"),
}
#: What the command line needs besides to read its arguments.
FOR_COMMANDS = {"dataclasses", "inspect", "pydantic", "typer"}


def loaded(program: str) -> set[str]:
    """The modules that a Python has imported after a program."""
    code = f"{program}; import json, sys; print(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_is_light():
    modules = loaded("import vgic")
    assert not modules & (HEAVY | FOR_COMMANDS)
    assert {name for name in modules if name.split(".")[0] == "vgic"} == {"vgic", "vgic._core", "vgic.core_build"}


def test_asking_for_the_version_is_light():
    assert not loaded("from vgic.cli import main; main(['--version'])") & HEAVY


@pytest.mark.parametrize("program", ["import vgic.cli.compare; import vgic; vgic.predict_many", "from vgic import *"])
def test_what_is_called_heavy_is_loaded_when_it_is_used(program):
    assert {"vgic.measure", "vgic.predict"} <= loaded(program)


def test_a_sub_command_does_not_load_the_others():
    modules = loaded("from vgic.cli import main; main(['designs', '--json', '-'])")
    assert "vgic.cli.designs" in modules
    assert not {"vgic.cli.compare", "vgic.cli.confirm", "vgic.cli.its", "vgic.cli.torture"} & modules


def test_every_name_is_there():
    assert vgic.__version__
    assert dir(vgic) == sorted({*vgic.__all__} - {"__version__"})
    for name in vgic.__all__:
        assert getattr(vgic, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        vgic.nothing  # noqa: B018


@pytest.mark.parametrize("name", ["designs", "kernels", "machines", "predict", "prove"])
@pytest.mark.parametrize(
    "first", ["import vgic.{0}", "from vgic.{0} import {0}", "import vgic; vgic.{0}", "import vgic"]
)
def test_a_function_goes_before_the_room_of_its_name(name, first):
    program = f"{first.format(name)}; import vgic, vgic.cli.designs, vgic.cli.predict; from vgic import {name} as other"
    loaded(f"{program}; assert callable(vgic.{name}) and vgic.{name} is other and other.__name__ == {name!r}")
