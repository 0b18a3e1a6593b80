"""A hostile guest for as long as you like: seeded runs, or a fuzzer that looks for inputs which reach new code.

``python tests/hostile/fuzz.py --commands 1000000 --seed 1`` plays random bytes in every design in turn and needs
nothing but the package. ``--seconds`` then hands over to atheris (the extra ``fuzz``), which counts the branches of the
package's Python that an input takes and grows a corpus from those that take new ones. An input that fails is written to
``crash-*`` in the current directory; ``--replay FILE`` plays it again.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

_BYTES = 6000


def _designs() -> list[str]:
    import vgic

    return [design.name for design in vgic.designs() if not design.unsound]


def _name(seed: int, number: int) -> str:
    return f"seed {seed}, run {number}"


def run(commands: int, seed: int) -> int:
    """Play seeded runs until so many commands were executed; 1 if one failed, 130 after Ctrl-C."""
    import guest

    designs, start = _designs(), time.monotonic()
    done, number, answers, actions = 0, 0, Counter[str](), Counter[str]()
    tty = sys.stderr.isatty()
    shown = start
    try:
        while done < commands:
            design = designs[number % len(designs)]
            data = random.Random(f"{seed}/{number}").randbytes(_BYTES)
            try:
                machine = guest.play(design, data)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                path = Path(f"crash-{seed}-{number}")
                path.write_bytes(bytes([number % len(designs)]) + data)
                print(f"\n{_name(seed, number)}, {design}: {type(error).__name__}: {error}\nwritten to {path}")
                return 1
            done += machine.commands
            answers += machine.answers
            actions += machine.actions
            number += 1
            if time.monotonic() - shown > (0.2 if tty else 10):
                shown = time.monotonic()
                rate = done / (shown - start)
                line = f"{done:>11,} of {commands:,} commands, {number:,} VMs, {rate:,.0f}/s, {_name(seed, number)}"
                print(line, end="\r" if tty else "\n", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"\nstopped at {_name(seed, number)} after {done:,} commands", file=sys.stderr)
        return 130
    print(f"{done:,} commands in {number:,} VMs of {len(designs)} designs, seed {seed}: nothing found")
    print("actions:", ", ".join(f"{name} {count:,}" for name, count in actions.most_common()))
    print("the VMM's view:", ", ".join(f"{name} {count:,}" for name, count in answers.most_common()))
    return 0


def play_one(data: bytes) -> None:
    """One input: its first byte is the number of the design, the others are the guest's."""
    import guest

    if data:
        guest.play(_DESIGNS[data[0] % len(_DESIGNS)], data[1:])


_DESIGNS: list[str] = []


def fuzz(seconds: int, corpus: Path | None, seed: int) -> None:
    """Let atheris choose the bytes; ends the process."""
    try:
        import atheris
    except ImportError:
        raise SystemExit("fuzz: atheris is missing: pip install 'atheris>=2.3', or use --commands alone") from None
    # Only the package: the harness's own branches are no news.
    with atheris.instrument_imports(include=["vgic.its", "vgic.redist", "vgic.vm", "vgic.registers"]):
        import vgic  # noqa: F401
    _DESIGNS.extend(_designs())
    flags = [sys.argv[0], f"-max_total_time={seconds}", f"-max_len={_BYTES}", "-timeout=60", f"-seed={seed}"]
    flags += ["-rss_limit_mb=4096", "-print_final_stats=1", "-len_control=0"]
    if corpus is not None:
        corpus.mkdir(parents=True, exist_ok=True)
        if not any(corpus.iterdir()):
            for number in range(32):
                data = random.Random(f"{seed}/{number}").randbytes(1 + number * _BYTES // 32)
                (corpus / f"seed-{number}").write_bytes(data)
        flags.append(str(corpus))
    atheris.Setup(flags, play_one)
    atheris.Fuzz()


def main() -> int:
    """Parse the command line and go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=0, help="ITS commands to execute in seeded runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=0, help="then run atheris for so long")
    parser.add_argument("--corpus", type=Path, help="directory of inputs that atheris keeps")
    parser.add_argument("--replay", type=Path, help="play one input again")
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    if arguments.replay:
        _DESIGNS.extend(_designs())
        play_one(arguments.replay.read_bytes())
        return 0
    if arguments.commands:
        status = run(arguments.commands, arguments.seed)
        if status:
            return status
    if arguments.seconds:
        fuzz(arguments.seconds, arguments.corpus, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
