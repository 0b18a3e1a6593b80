"""The rooms of the package depend downwards: no module needs itself, by whatever way, to be imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import vgic

ROOT = Path(vgic.__file__).parent


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in ROOT.rglob("*.py")}


def imported(module: str) -> Iterator[str]:
    """What has to be there before a module, rooms around it left out."""
    for node in ast.parse(MODULES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == "vgic":
            parts = node.module.split(".")
            names = [".".join(parts[:end]) for end in range(2, len(parts) + 1)]
            names += [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "vgic" else []
            yield from (name for name in names if name in MODULES and not f"{module}.".startswith(f"{name}."))


def test_no_module_needs_itself():
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in done:
            for other in imported(module):
                visit(other, (*way, module))
            done.add(module)

    assert {"vgic.vm", "vgic.measure", "vgic.predict", "vgic.prove"} <= MODULES.keys()
    for module in MODULES:
        if module != "vgic":
            visit(module, ())
