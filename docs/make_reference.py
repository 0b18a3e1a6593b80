"""Makes ``docs/reference/``: the public API from its sources, the command line's help, the table of designs.

``make_reference.py`` writes the pages. ``make_reference.py --check`` writes nothing; it says which pages are out of
date and exits with status 1 if one is. Only the standard library is used; the sources are parsed, not imported.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from link_references import linked

from vgic.designs import BASELINE_DESIGN, DEFAULT_DESIGN, Design, axes, changed_axes, design, designs
from vgic.prove import Defect, defects_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
PACKAGE = ROOT / "python" / "vgic"

#: Page -> the modules that are described on it.
MODULES = {
    "vm": ["vm", "vm.vm"],
    "topology": ["vm.topology"],
    "memory": ["vm.memory"],
    "its": ["its", "its.frame", "its.commands", "its.tables", "registers"],
    "redist": ["redist.frame"],
    "state": ["vm.state"],
    "kvm-device": ["vm.kvm_device"],
    "conformance": [
        "conformance.target",
        "conformance.report",
        "conformance.bench",
        "conformance.lines",
    ],
    "designs": ["designs", "difference"],
    "kernels": ["kernels", "kernels.kernel", "kernels.release", "kernels.gain"],
    "workload": ["measure.workload"],
    "run": ["measure", "measure.run", "measure.rounds"],
    "prove": ["prove", "prove.proof", "prove.story", "prove.history", "prove.bisect"],
    "defects": ["prove.defects", "links"],
    "torture": ["prove.torture"],
    "confirm": [
        "confirm.run",
        "confirm.play",
        "confirm.stories",
        "confirm.report",
        "confirm.image",
        "confirm.debian",
        "confirm.export",
    ],
    "predict": [
        "predict",
        "predict.prediction",
        "predict.workload",
        "predict.limit",
        "predict.explain",
        "predict.chrome_trace",
    ],
    "scale": ["predict.scale", "predict.sweep", "predict.usl"],
    "calibrate": [
        "calibrate",
        "calibrate.fit",
        "calibrate.parameters",
        "calibrate.validate",
        "calibrate.rates",
        "calibrate.micro_bench",
        "calibrate.here",
    ],
    "machines": ["machines", "machines.profile", "machines.values", "machines.distance", "machines.checks", "host"],
    "results": ["measure.results", "measure.stats"],
    "trace": ["trace.store", "trace.recording", "trace.stretch", "trace.summary", "trace.qemu", "trace.check"],
    "report": ["report.page", "report.scale_page", "report.svg", "report.lines", "report.stack"],
    "errors": ["errors"],
}
#: Public for other modules of the package only.
INTERNAL = {
    *("save_frames", "restore_frames"),
    *("affinity_of",),
    *("changed", "scaled_distance"),
    *("TIMES", "hint", "parse_value", "status_of", "text_of"),
    *("checks_text", "checks_toml", "parse_checks"),
    *("FILLS", "contrast", "ink_on"),
    *("design_release", "here"),
    *("distance_to_core", "distance_toml", "parse_distance", "read_text"),
}
#: Types of the stub that the public API returns.
TYPES = ("LpiState", "Tables", "DeviceTable", "Counts", "PathStep", "PathCounts")
KINDS = ("own", "inherited")
COMMANDS = (
    "",
    "compare",
    "stress",
    "predict",
    "scale",
    "calibrate",
    "prove",
    "confirm",
    "torture",
    "replay",
    "recording",
    "designs",
    "kernels",
    "machines",
    "its",
    "its decode",
    "its check",
)
NOTE = "<!-- Made by docs/make_reference.py. Do not edit: change the docstrings, and run it again. -->\n"


def markdown(text: str) -> str:
    """A docstring as Markdown: roles and double backquotes become code, doctests and tables become blocks."""
    text = re.sub(r":\w+:`~?(?:vgic\.)?([^`]+)`", r"`\1`", text)
    text = text.replace("``", "`").replace("<n>", r"\<n\>")
    text = re.sub(r"^(=+(?: +=+)+)\n(.*?)\n\1$", r"```text\n\2\n```", text, flags=re.MULTILINE | re.DOTALL)
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        example = line.startswith((">>> ", "... ")) or (inside and bool(line.strip()))
        if example and not inside:
            lines.append("```python")
        elif inside and not example:
            lines.append("```")
        inside = example
        lines.append(line)
    if inside:
        lines.append("```")
    return "\n".join(lines)


def remark(lines: list[str], node: ast.stmt) -> str:
    """The ``#:`` comment above an assignment."""
    above = node.lineno - 2
    found: list[str] = []
    while above >= 0 and lines[above].strip().startswith("#:"):
        found.insert(0, lines[above].strip().removeprefix("#:").strip())
        above -= 1
    return markdown(" ".join(found))


def signature(name: str, node: ast.FunctionDef, *, method: bool) -> str:
    """A function's head on one line, without quotes around annotations."""
    arguments = node.args
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if method and "staticmethod" not in decorators and arguments.args:
        arguments = ast.parse(f"def f({ast.unparse(arguments)}): ...").body[0].args  # type: ignore[attr-defined]
        del arguments.args[0]
    text = f"{name}({ast.unparse(arguments)})"
    if node.returns is not None and ast.unparse(node.returns) != "None":
        text += f" -> {ast.unparse(node.returns)}"
    return re.sub(r"(?<!=)'([A-Za-z_][\w.\[\], |]*)'(?=[,)\]]| ->|$)", r"\1", text)


def public(name: str) -> bool:
    """Whether users may use it."""
    return not name.startswith("_")


def assigned(node: ast.stmt) -> str | None:
    """The name that an assignment gives a value to."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def describe_class(lines: list[str], node: ast.ClassDef) -> Iterator[str]:
    """A class: its text, its fields, its methods."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    head = signature(node.name, init, method=True) if init else node.name + (f"({bases})" if bases else "")
    yield f"### `{head}`\n"
    yield markdown(ast.get_docstring(node) or "") + "\n"
    fields = []
    methods: list[ast.FunctionDef] = []
    for child in node.body:
        name = assigned(child)
        if name == "__slots__" and isinstance(child, ast.Assign) and isinstance(child.value, ast.Dict):
            pairs = ast.literal_eval(child.value)
            fields += [f"- `{key}`: {markdown(value)}" for key, value in pairs.items() if public(key)]
        elif name is not None and public(name) and isinstance(child, ast.AnnAssign):
            text = remark(lines, child)
            default = f" = {ast.unparse(child.value)}" if child.value is not None else ""
            default = "" if "field(" in default else default
            if not any(field.startswith(f"- `{name}`") for field in fields):  # not among the slots
                kind = ast.unparse(child.annotation).strip("'")
                fields.append(f"- `{name}: {kind}{default}`" + (f": {text}" if text else ""))
        elif name is not None and public(name) and isinstance(child, ast.Assign) and remark(lines, child):
            fields.append(f"- `{name}`: {remark(lines, child)}")
        elif isinstance(child, ast.FunctionDef):
            if child.name == "__init__":
                for inner in ast.walk(child):
                    text = remark(lines, inner) if isinstance(inner, ast.Assign | ast.AnnAssign) else ""
                    target = getattr(inner, "target", None) or (getattr(inner, "targets", None) or [None])[0]
                    if text and isinstance(target, ast.Attribute) and public(target.attr):
                        fields.append(f"- `{target.attr}`: {text}")
            elif public(child.name):
                methods.append(child)
    if fields:
        yield "\n".join(fields) + "\n"
    for child in methods:
        decorators = {ast.unparse(decorator) for decorator in child.decorator_list}
        if any(decorator.endswith(".setter") for decorator in decorators):
            continue
        settable = any(f"{child.name}.setter" in {ast.unparse(d) for d in m.decorator_list} for m in methods)
        if "property" in decorators:
            kind = f" -> {ast.unparse(child.returns)}".replace("'", "") if child.returns is not None else ""
            yield f"#### `{child.name}`{' (can be set)' if settable else ''}\n\n`{child.name}{kind}`\n"
        else:
            yield f"#### `{child.name}`\n\n`{signature(child.name, child, method=True)}`\n"
        yield markdown(ast.get_docstring(child) or "") + "\n"


def describe(module: str) -> Iterator[str]:
    """A module: its text, and whatever ``__all__`` names, in the order of the source."""
    path = PACKAGE / (module.replace(".", "/") + ".py")
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    names: list[str] = []
    for node in tree.body:
        if assigned(node) == "__all__" and isinstance(node, ast.Assign):
            names = ast.literal_eval(node.value)
    yield f"## `vgic.{module}`\n"
    yield markdown(ast.get_docstring(tree) or "") + "\n"
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "vgic._core":
            # A class of the Rust module that is offered as it is.
            source, classes = stub_classes()
            for alias in node.names:
                if alias.name in names:
                    yield from describe_class(source.splitlines(), classes[alias.name])
        name = getattr(node, "name", None) or assigned(node)
        if name not in names or name in INTERNAL:
            continue
        if isinstance(node, ast.ClassDef):
            yield from describe_class(lines, node)
        elif isinstance(node, ast.FunctionDef):
            yield f"### `{signature(node.name, node, method=False)}`\n"
            yield markdown(ast.get_docstring(node) or "") + "\n"
        elif isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            value = ast.unparse(node.value)
            shown = f"### `{name} = {value}`\n" if len(value) < 90 else f"### `{name}`\n"
            yield shown
            yield remark(lines, node) + "\n"


def stub_classes() -> tuple[str, dict[str, ast.ClassDef]]:
    """The stub of the Rust module, and its classes."""
    text = (PACKAGE / "_core.pyi").read_text(encoding="utf-8")
    return text, {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}


def stub(names: tuple[str, ...]) -> Iterator[str]:
    """Classes of the Rust module, as its stub has them."""
    text, nodes = stub_classes()
    lines = text.splitlines()
    for name in names:
        node = nodes[name]
        source = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        yield f"### `{name}`\n\n```text\n{source}\n```\n"


def exports() -> list[str]:
    """What ``import vgic`` gives, the rooms left out."""
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module is not None]
    return sorted((alias.name for node in imports for alias in node.names), key=str.lower)


def command_line() -> Iterator[str]:
    """The help of each command."""
    yield "# Command line\n"
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    for command in COMMANDS:
        arguments = [sys.executable, "-m", "vgic", *command.split(), "--help"]
        run = subprocess.run(arguments, env=environment, capture_output=True, encoding="utf-8", check=True)
        text = "\n".join(line.rstrip() for line in run.stdout.strip("\n").splitlines())
        yield f"## `vgic {command}`\n" if command else "## `vgic`\n"
        yield f"```text\n{text}\n```\n"


def _defects(found: list[Defect]) -> str:
    """Links to the sections of the catalogue."""
    return ", ".join(f"[{one.id}](../explain/defects.md#{one.id.lower()})" for one in found)


def design_table() -> Iterator[str]:
    """Every design with its row, its axes and its lock order."""
    yield "# Table of designs\n"
    yield f"The baseline is `{BASELINE_DESIGN}`; a `Vm` is `{DEFAULT_DESIGN}` unless another is named.\n"
    counts = {row.name: row.path_counts(deliver=True) for row in designs()}
    yield "## What one delivered LPI takes\n"
    yield "| design | `lpi_list_lock` | all locks | writes of `refcount` | read-modify-writes | stores |"
    yield "|---|---|---|---|---|---|"
    for name, count in counts.items():
        locks = count["locks"]
        numbers = (
            locks.get("lpi_list_lock", 0),
            sum(locks.values()),
            count["rmws"].get("vgic_irq.refcount", 0),
            sum(count["rmws"].values()),
            sum(count["writes"].values()),
        )
        yield f"| `{name}` | " + " | ".join(map(str, numbers)) + " |"
    yield "\nTaking a lock is not counted among the read-modify-writes.\n"
    for row in designs():
        yield f"## `{row.name}`\n"
        rows = [
            ("based on", f"`{row.based_on}`" if row.based_on else ""),
            ("changed", row.changed),
            ("fixes", row.fixes),
            ("known defect", row.defect + (" (**unsound**: needs `--allow-unsound`)" if row.unsound else "")),
            ("reference", row.reference),
            *((f"{kind} defects", _defects(found)) for kind, found in zip(KINDS, defects_of(row.name), strict=True)),
            *((axis, f"`{way}`" if way else "-") for axis, (_, way) in _changed(row).items()),
            ("lock order", " > ".join(f"`{lock}`" for lock in row.lock_order)),
        ]
        yield "| | |\n|---|---|"
        yield "\n".join(f"| {name} | {text} |" for name, text in rows if text) + "\n"


def _changed(row: Design) -> dict[str, tuple[str, str]]:
    """The axes that are others than in the design that it is based on; all of the first."""
    return (
        changed_axes(design(row.based_on), row) if row.based_on else {axis: ("", way) for axis, way in row.axes.items()}
    )


def axes_table() -> Iterator[str]:
    """Every axis and its ways."""
    yield "\n## Axes\n"
    yield "A design is one way on each axis. `vgic designs --axes` prints the same.\n"
    yield "| axis | way | what it does | first in |\n|---|---|---|---|"
    for one in axes():
        yield f"| **{one.name}** | | {one.about} | |"
        for way, about in one.ways.items():
            first = one.since(way)
            yield f"| | `{way}` | {about} | {f'`{first.name}`' if first else 'composed ones only'} |"


def pages() -> dict[str, str]:
    """File name -> text."""
    found = {"cli": "\n".join(command_line()), "design-table": "\n".join([*design_table(), *axes_table()])}
    for page, modules in MODULES.items():
        title = f"# {page}\n"
        found[page] = "\n".join([title, *(part for module in modules for part in describe(module))])
    found["types"] = "# Types\n\nDictionaries that the API returns.\n\n" + "\n".join(stub(TYPES))
    index = ["# Reference\n", "- [Command line](cli.md)", "- [Table of designs](design-table.md)"]
    index += [f"- [{', '.join(f'`vgic.{m}`' for m in modules)}]({page}.md)" for page, modules in MODULES.items()]
    index += ["- [Types of returned dictionaries](types.md)"]
    index += ["\n`import vgic` gives " + ", ".join(f"`{name}`" for name in exports()) + ".\n"]
    found["index"] = "\n".join(index)
    return {f"{name}.md": linked(f"{NOTE}\n{text.rstrip()}\n") for name, text in found.items()}


def main(arguments: list[str]) -> int:
    """Write or check the pages; the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: make_reference.py [--check]", file=sys.stderr)
        return 2
    wanted = pages()
    stale = sorted({path.name for path in FOLDER.glob("*.md")} - set(wanted))
    changed = [
        name
        for name, text in wanted.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    if arguments:
        for name in [*changed, *stale]:
            print(f"docs/reference/{name} is out of date: run .venv/bin/python docs/make_reference.py", file=sys.stderr)
        return 1 if changed or stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in changed:
        (FOLDER / name).write_text(wanted[name], encoding="utf-8")
    for name in stale:
        (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
