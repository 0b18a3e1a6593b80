"""``vgic confirm --random``: guests drawn at random, on the engine and on a kernel."""

import json as json_module
from collections.abc import Iterator
from dataclasses import asdict

from rich.markup import escape

from vgic.cli.common import check_outputs, console, progress, write_json
from vgic.confirm.debian import find_kernel
from vgic.confirm.differential import Comparison, compare
from vgic.confirm.run import design_of

SCHEMA = 1


def confirm_random(kernel: str, count: int, seed: int, cpu: str, json: str | None) -> int:
    """Plays so many guests, and says what differs. Exit status 0 if nothing does."""
    check_outputs(json)
    out = console(json)
    found: list[Comparison] = []
    interrupted = False
    with progress("confirm") as update:
        image = find_kernel(kernel, lambda line: update(0, line))
        design = design_of(image)
        name = design.composed if design else "not known"
        out.print(f"{escape(image.name)}: {escape(image.release)}, whose design is {escape(name)}", soft_wrap=True)
        try:
            for one in compare(image, count, seed, cpu=cpu, tell=lambda done, line: update(done / count, line)):
                found.append(one)
                if one.result != "same":
                    for line in _lines(one):
                        out.print(line, soft_wrap=True)
        except KeyboardInterrupt:
            interrupted = True
    document = {
        "schema": SCHEMA,
        "kernel": image.name,
        "release": image.release,
        "design": name,
        "interrupted": interrupted,
        "guests": [asdict(one) for one in found],
    }
    write_json(json, json_module.dumps(document, indent=1) + "\n")
    out.print(f"{'interrupted: ' * interrupted}{_summary(found, seed)}", soft_wrap=True)
    if interrupted:
        return 130
    return 1 if any(one.result == "differs" for one in found) else 0


def _summary(found: list[Comparison], seed: int) -> str:
    if not found:
        return "no guest was played"
    same = [one for one in found if one.result == "same"]
    differ = sum(one.result == "differs" for one in found)
    points, again = sum(one.compared for one in same), sum(one.tries > 1 for one in same)
    return (
        f"{len(found)} guests, seeds {seed} to {seed + len(found) - 1}: {len(same)} the same at {points:,} points "
        f"({again} of them not the first time), {differ} differ, {len(found) - len(same) - differ} not possible here"
    )


def _lines(one: Comparison) -> Iterator[str]:
    yield f"\n[bold]{one.seed}[/]: [yellow]{one.result}[/]   {escape(one.why)}"
    yield from (f"  {escape(text)}" for text in one.held)
    yield from (f"    {escape(line)}" for line in one.text.splitlines())
    yield f"    # --replay {one.schedule}"
