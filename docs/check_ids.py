"""Checks that SAFETY.md and ORDERING.md say what the code says; run by ``ci/safety.sh`` and ``ci/ordering.sh``.

``check_ids.py safety``: every ``unsafe`` block and ``unsafe impl`` of ``crates/*/src`` has a SAFETY comment with an id;
the code and SAFETY.md have the same ids; the tests named there exist.
``check_ids.py ordering``: the code and ORDERING.md have the same ids; the engine's pairs have the same names; the tests
named there exist.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES = ROOT / "crates"

_UNSAFE = re.compile(r"\bunsafe\s*(\{|impl\b)")
#: Lines of code that may stand between a SAFETY comment and the ``unsafe`` that it is for (one broken statement).
_REACH = 3


def sources(*, tests: bool) -> Iterator[tuple[Path, list[str]]]:
    """Rust files with their lines: those of ``src``, and also tests and benches if asked for."""
    for path in sorted(CRATES.rglob("*.rs")):
        inside = path.relative_to(CRATES).parts[1]
        if inside == "src" or (tests and inside in ("tests", "benches")):
            yield path, path.read_text(encoding="utf-8").splitlines()


def code_of(line: str) -> str:
    """The line without its comment."""
    return line.split("//", 1)[0]


def has_id(lines: list[str], at: int) -> bool:
    """Whether the comment above line ``at`` is a SAFETY comment with an id."""
    above = at - 1
    for _ in range(_REACH):
        if above >= 0 and not lines[above].lstrip().startswith("//"):
            above -= 1
    comment = []
    while above >= 0 and lines[above].lstrip().startswith("//"):
        comment.append(lines[above].strip())
        above -= 1
    return re.search(r"SAFETY: [A-Z]-\d\d\b", " ".join(reversed(comment))) is not None


def test_names() -> set[str]:
    """Names of all test functions of the repository, Rust and Python."""
    names: set[str] = set()
    for _, lines in sources(tests=True):
        names.update(re.findall(r"#\[test\](?:\s*#\[[^\n]*\])*\s*fn (\w+)", "\n".join(lines)))
    for path in (ROOT / "tests").rglob("test_*.py"):
        names.update(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return names


def missing_tests(page: str, text: str) -> list[str]:
    """Complaints about tests that a text names and the repository does not have."""
    named = {name for name in re.findall(r"`(\w+)`", text) if name.count("_") >= 2 or name in ("no_memory",)}
    known = test_names()
    return [f"{page} names the test {name}, which does not exist" for name in sorted(named - known)]


def compare(page: str, documented: list[str], cited: dict[str, str]) -> list[str]:
    """Complaints about ids that are only in the page or only in the code."""
    found = [f"{page} has {name} twice" for name in sorted(set(documented)) if documented.count(name) > 1]
    found += [
        f"{name} is cited in {where} and missing in {page}"
        for name, where in sorted(cited.items())
        if name not in documented
    ]
    found += [f"{name} is in {page} and cited nowhere in crates/" for name in sorted(set(documented) - set(cited))]
    return found


def check_safety() -> list[str]:
    """Complaints about SAFETY.md and SAFETY comments."""
    found = []
    cited: dict[str, str] = {}
    for path, lines in sources(tests=True):
        name = str(path.relative_to(ROOT))
        for at, line in enumerate(lines):
            for rule in re.findall(r"SAFETY: ([A-Z]-\d\d)\b", line):
                cited.setdefault(rule, f"{name}:{at + 1}")
            if "src" in path.relative_to(CRATES).parts and _UNSAFE.search(code_of(line)) and not has_id(lines, at):
                found.append(f"{name}:{at + 1}: unsafe without a comment 'SAFETY: X-nn: ...' above it")
    page = (ROOT / "SAFETY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]-\d\d) \|(.*)\|$", page, re.MULTILINE)
    found += compare("SAFETY.md", [rule for rule, _ in rows], cited)
    for rule, row in rows:
        tests = row.rsplit("|", 1)[-1]
        names = re.findall(r"`(\w+)`", tests)
        if not names and "none" not in tests:
            found.append(f"SAFETY.md: {rule} names no test and does not say 'none'")
        known = test_names()
        found += [
            f"SAFETY.md: {rule} names the test {name}, which does not exist" for name in names if name not in known
        ]
    return found


def check_ordering() -> list[str]:
    """Complaints about ORDERING.md and the ids of orders."""
    cited: dict[str, str] = {}
    for path, lines in sources(tests=False):
        for at, line in enumerate(lines):
            for pair in re.findall(r"\b([OR]-\d\d)\b", line):
                cited.setdefault(pair, f"{path.relative_to(ROOT)}:{at + 1}")
    page = (ROOT / "ORDERING.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### ([OR]-\d\d): (.*)\n((?:(?!^##).*\n?)*)", page, re.MULTILINE)
    found = compare("ORDERING.md", [pair for pair, _, _ in sections], cited)
    order = (CRATES / "vgic-core/src/order.rs").read_text(encoding="utf-8")
    variants = {code: name for name, code in re.findall(r"Pair::(\w+) => \"(O-\d\d)\"", order)}
    for pair, title, body in sections:
        if pair in variants and title != f"`{variants[pair]}`":
            found.append(f"ORDERING.md: {pair} is called {title}, but Pair::{variants[pair]} in order.rs")
        for part in ("Fields", "Argument", "If weakened", "Test"):
            if f"- **{part}:**" not in body:
                found.append(f"ORDERING.md: {pair} has no part '{part}'")
        test = body.split("- **Test:**")[-1]
        if "no model yet" not in test and not re.search(r"`\w+`", test):
            found.append(f"ORDERING.md: {pair} names no test and does not say 'no model yet'")
        found += [
            complaint.replace("ORDERING.md", f"ORDERING.md: {pair}") for complaint in missing_tests("ORDERING.md", test)
        ]
    return found


def main(arguments: list[str]) -> int:
    """Run one check; the exit status."""
    checks = {"safety": check_safety, "ordering": check_ordering}
    if len(arguments) != 1 or arguments[0] not in checks:
        print(f"usage: check_ids.py {'|'.join(checks)}", file=sys.stderr)
        return 2
    found = checks[arguments[0]]()
    for complaint in found:
        print(complaint, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
