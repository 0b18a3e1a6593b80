#!/usr/bin/env python3
"""Puts faults into the engine and the simulator, thousands of them, and says which ones no test notices.

    ci/by-hand/mutants.sh crates/vgic-core/src/its crates/vgic-core/src/refcount.rs      files or folders
    ci/by-hand/mutants.sh --tests vgic-core --tests vgic-count crates/vgic-core/src      with the tests of these crates
    ci/by-hand/mutants.sh --survivors --tests vgic-check                                 what survived, with more tests

A compilation for each fault would take days. So all of them are compiled at once, into a copy of the crates: where
there was `a < b` there is `if fault(17) { a <= b } else { a < b }`, and an environment variable says which one is
there. A first run of each test notes which faults it comes by; a fault is tried with those tests only, the quick ones
first, until one fails. A fault that does not compile is left out. What a fault may use is limited: ten times the
processor time of the test, and some seconds.

What is tried: an operator, a condition that is always or never true, a statement that is left out, a lock that is not
taken, a function that returns at once, an arm of a match that is never taken, a number that is one more. Not tried:
what macros hold, constants, memory orders.
"""

import argparse
import hashlib
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter_rust
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "mutants"
CRATES = ("vgic-core", "vgic-sim")
LIBRARIES = [f"crates/{crate}/src/lib.rs" for crate in CRATES]

OPERATORS = {
    "==": ["!="],
    "!=": ["=="],
    "<": ["<=", ">="],
    "<=": ["<", ">"],
    ">": [">=", "<="],
    ">=": [">", "<"],
    "&&": ["||"],
    "||": ["&&"],
    "+": ["-"],
    "-": ["+"],
    "*": ["+"],
    "/": ["*"],
    "%": ["/"],
    "&": ["|"],
    "|": ["&"],
    "^": ["|"],
    "<<": [">>"],
    ">>": ["<<"],
    "+=": ["-="],
    "-=": ["+="],
    "|=": ["&="],
    "&=": ["|="],
}
# What a function that does nothing may answer.
ANSWERS = [
    (r"bool", ["true", "false"]),
    (r"[ui](8|16|32|64|size)", ["0", "1"]),
    (r"f64", ["0.0"]),
    (r"Option<.*>", ["None"]),
    (r"Result<\(\), .*>", ["Ok(())"]),
    (r"Result<bool, .*>", ["Ok(true)", "Ok(false)"]),
    (r"Vec<.*>", ["Vec::new()"]),
]
LOCK = re.compile(rb"(guard::)?(Spin|Mutex|Read|Write|Rcu|Srcu)::<P>::\w*lock")
# Where a number is an expression.
NUMBER_IN = {
    "binary_expression",
    "arguments",
    "assignment_expression",
    "compound_assignment_expr",
    "range_expression",
    "block",
    "return_expression",
    "match_arm",
    "field_initializer",
    "let_declaration",
}

# Tells whether a fault is there. Goes into each crate; what is noted is read by `reached`.
SWITCH = """
extern crate std;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::io::Write;
static FAULT: AtomicU32 = AtomicU32::new(u32::MAX);
static SEEN: [AtomicBool; 1 << 14] = [const { AtomicBool::new(false) }; 1 << 14];
#[cold]
fn look() -> u32 {
    let fault = std::env::var("VGIC_FAULT").map_or(0, |n| n.parse().expect("a number"));
    FAULT.store(fault, Relaxed);
    fault
}
#[cold]
fn note(id: u32) {
    if !SEEN[id as usize].load(Relaxed) && !SEEN[id as usize].swap(true, Relaxed) {
        let path = std::env::var_os("VGIC_FAULTS_SEEN").expect("where to write");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("a file");
        file.write_all(std::format!("{id}\\n").as_bytes()).expect("written");
    }
}
#[inline]
pub fn fault(id: u32) -> bool {
    let fault = match FAULT.load(Relaxed) { u32::MAX => look(), fault => fault };
    if fault == 1 << 20 { note(id); }
    fault == id
}
"""
HAS_SWITCH = b"\n#[doc(hidden)]\npub mod fault;\n"
NOTE_ALL = 1 << 20
ALIVE = ("survives", "is not reached")


@dataclass
class Fault:
    """A fault that can be put in."""

    id: int
    file: str
    line: int
    column: int
    what: str
    # Where it stands in the file as it is compiled.
    span: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        """As survivors are listed."""
        return f"{self.file}:{self.line}:{self.column}: {self.what}"


@dataclass
class Piece:
    """Text, and where the faults are in it."""

    text: bytes = b""
    faults: list[Fault] = field(default_factory=list)

    def __add__(self, other: "Piece | bytes") -> "Piece":
        if isinstance(other, bytes):
            return Piece(self.text + other, self.faults)
        by = len(self.text)
        for fault in other.faults:
            fault.span = (fault.span[0] + by, fault.span[1] + by)
        return Piece(self.text + other.text, self.faults + other.faults)


def text_of(node: Node) -> bytes:
    """The source of a node."""
    return node.text or b""


def must_stay(statement: Node) -> bool:
    """Whether nothing compiles without it: what leaves the `else` of a `let`, or a block that has dropped a lock."""
    block, source = statement.parent, text_of(statement)
    if block is None or block.parent is None:
        return True
    leaves = statement.named_children[0].type in {"return_expression", "break_expression", "continue_expression"}
    if leaves and (block.parent.type == "let_declaration" or b"drop(" in text_of(block)):
        return True
    return re.search(rb"lock = Spin::", source) is not None


def unused_lock(let: Node) -> Node | None:
    """What takes a lock that is only held: nobody asks for it but to drop it."""
    value, name = let.child_by_field_name("value"), let.child_by_field_name("pattern")
    if value is None or name is None or not LOCK.match(text_of(value)):
        return None
    rest = text_of(let.parent or let).replace(b"drop(" + text_of(name) + b")", b"")
    return value if len(re.findall(rb"\b" + text_of(name) + rb"\b", rest)) == 1 else None


class Mutator:
    """Rewrites files; `without` are the faults that do not compile."""

    def __init__(self, without: set[int]) -> None:
        """For all files of a run, so that each fault has a number."""
        self.parser = Parser(Language(tree_sitter_rust.language()))
        self.without = without
        self.next_id = 1
        self.file = ""

    def rewrite(self, path: Path) -> Piece:
        """A file with all its faults."""
        self.file = str(path.relative_to(ROOT))
        return self.node(self.parser.parse(path.read_bytes()).root_node, False)

    def fault(self, piece: Piece, node: Node, what: str, make: Iterable[bytes | Piece | None]) -> Piece:
        """Puts one fault around a piece. `make` are the parts of the text: None is the condition."""
        this, self.next_id = self.next_id, self.next_id + 1
        if this in self.without:
            return piece
        made = Piece()
        for part in make:
            made += f"crate::fault::fault({this})".encode() if part is None else part
        row, column = node.start_point
        what = " ".join(what.split())
        made.faults.append(Fault(this, self.file, row + 1, column + 1, what, (0, len(made.text))))
        return made

    def node(self, node: Node, inside: bool) -> Piece:
        """A node, with what is below it; what tests is left as it is."""
        if node.type in {
            "token_tree",
            "macro_definition",
            "attribute_item",
            "const_item",
            "static_item",
            "const_block",
        }:
            return Piece(text_of(node))
        if node.type == "mod_item" and text_of(node).startswith(b"mod tests"):
            return Piece(text_of(node))
        if node.type == "function_item":
            return self.function(node)
        below, at = Piece(), node.start_byte
        source = text_of(node)
        for child in node.children:
            below += source[at - node.start_byte : child.start_byte - node.start_byte]
            below += self.node(child, inside)
            at = child.end_byte
        below += source[at - node.start_byte :]
        return self.around(node, below) if inside else below

    def function(self, node: Node) -> Piece:
        """A function: not one that runs at compile time, and none that prints."""
        body, name = node.child_by_field_name("body"), node.child_by_field_name("name")
        modifiers = b"".join(text_of(child) for child in node.children if child.type == "function_modifiers")
        if body is None or name is None or b"const" in modifiers or text_of(name) == b"fmt":
            return Piece(text_of(node))
        source = text_of(node)
        head, tail = source[: body.start_byte - node.start_byte], source[body.end_byte - node.start_byte :]
        inner = self.node(body, True)
        if body.named_child_count:
            returns = node.child_by_field_name("return_type")
            kind = "()" if returns is None else text_of(returns).decode()
            answers = ["()"] if returns is None else [a for of, all_ in ANSWERS if re.fullmatch(of, kind) for a in all_]
            for answer in answers:
                make = [b"{ if ", None, f" {{ return {answer}; }} ".encode(), inner, b"}"]
                inner = self.fault(inner, node, f"{text_of(name).decode()} answers {answer} at once", make)
        return Piece(head) + inner + tail

    def around(self, node: Node, piece: Piece) -> Piece:
        """The faults of a node itself."""
        source = text_of(node)
        kind = node.type
        if kind in {"binary_expression", "compound_assignment_expr"}:
            left, operator, right = (node.child_by_field_name(name) for name in ("left", "operator", "right"))
            if left is None or operator is None or right is None:
                return piece
            start = node.start_byte
            before, after = source[: operator.start_byte - start], source[operator.end_byte - start :]
            for other in OPERATORS.get(text_of(operator).decode(), []):
                ours = before + other.encode() + after
                what = f"{other} for {text_of(operator).decode()} in {source.decode()}"
                piece = self.fault(piece, node, what, [b"(if ", None, b" { " + ours + b" } else { ", piece, b" })"])
        elif kind == "unary_expression" and source.startswith(b"!"):
            make = [b"(if ", None, b" { " + source[1:] + b" } else { ", piece, b" })"]
            piece = self.fault(piece, node, f"without ! in {source.decode()}", make)
        elif kind == "integer_literal" and node.parent is not None and node.parent.type in NUMBER_IN:
            match = re.fullmatch(r"([0-9_]+|0x[0-9a-f_]+)((?:[ui](?:8|16|32|64|size))?)", source.decode())
            if match:
                more = f"{int(match[1].replace('_', ''), 0) + 1}{match[2]}"
                make = [b"(if ", None, f" {{ {more} }} else {{ ".encode(), piece, b" })"]
                piece = self.fault(
                    piece, node, f"{more} for {source.decode()} in {text_of(node.parent).decode()}", make
                )
        elif kind == "let_declaration" and (value := unused_lock(node)) is not None:
            at = value.start_byte - node.start_byte
            make = [source[:at] + b"(!", None, b").then(|| " + text_of(value) + b");"]
            piece = self.fault(piece, node, f"no lock: {source.decode()}", make)
        elif (
            kind == "expression_statement"
            and source.endswith(b";")
            and node.named_children[0].type
            in {
                "call_expression",
                "assignment_expression",
                "compound_assignment_expr",
                "try_expression",
                "return_expression",
                "break_expression",
                "continue_expression",
            }
            and not must_stay(node)
        ):
            make = [b"if !", None, b" { ", piece, b" }"]
            piece = self.fault(piece, node, f"left out: {source.decode()}", make)
        return self.condition(node, piece)

    def condition(self, node: Node, piece: Piece) -> Piece:
        """The faults of what an `if`, a `while` or an arm asks."""
        parent, source = node.parent, text_of(node)
        if parent is None or parent.child_by_field_name("condition") != node:
            if node.type == "match_pattern" and parent is not None and self.has_other_arm(parent):
                guarded = node.child_by_field_name("condition") is not None
                make: list[bytes | Piece | None] = [piece, b" && !" if guarded else b" if !", None]
                piece = self.fault(piece, node, f"never the arm {source.decode()}", make)
            return piece
        if node.type in {"let_condition", "let_chain"}:
            return self.fault(piece, node, f"never {source.decode()}", [piece, b" && !", None])
        if parent.type in {"if_expression", "match_pattern"}:
            piece = self.fault(piece, node, f"always {source.decode()}", [b"(", None, b" || (", piece, b"))"])
        return self.fault(piece, node, f"never {source.decode()}", [b"(!", None, b" && (", piece, b"))"])

    @staticmethod
    def has_other_arm(arm: Node) -> bool:
        """Whether a later arm takes everything."""
        later = arm.next_named_sibling
        while later is not None:
            pattern = later.child_by_field_name("pattern")
            if pattern is not None and re.fullmatch(rb"(?!true|false)[a-z_]+", text_of(pattern)):
                return True
            later = later.next_named_sibling
        return False


def sources() -> list[Path]:
    """The files to change: all of the crates, always, so that one compilation is for every run."""
    files = [path for crate in CRATES for path in sorted((ROOT / "crates" / crate / "src").rglob("*.rs"))]
    return [path for path in files if path.name != "tests.rs"]


def wanted(names: list[str]) -> list[str]:
    """The files that are asked for, by name; of folders all."""
    files = sources()
    for name in names:
        if not any(file.is_relative_to(ROOT / name) for file in files):
            sys.exit(f"mutants.py: {name}: no source of {' or '.join(CRATES)}, seen from the project's folder")
    chosen = [file for file in files if not names or any(file.is_relative_to(ROOT / name) for name in names)]
    return [str(file.relative_to(ROOT)) for file in chosen]


def cargo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Cargo in the copy; its messages as JSON."""
    env = os.environ | {"CARGO_TARGET_DIR": str(WORK / "build"), "RUSTFLAGS": "--cap-lints allow"}
    command = ["cargo", *arguments, "--locked", "--message-format=json"]
    return subprocess.run(command, cwd=WORK, env=env, text=True, capture_output=True)


def write(path: Path, text: bytes) -> None:
    """Writes a file that is not so already: what did not change is not compiled again."""
    if not path.exists() or path.read_bytes() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def write_tree(without: set[int]) -> list[Fault]:
    """The copy, with every fault that compiles."""
    mutator = Mutator(without)
    pieces = {str(path.relative_to(ROOT)): mutator.rewrite(path) for path in sources()}
    for path in [ROOT / "Cargo.lock", *sorted((ROOT / "crates").rglob("*"))]:
        name = str(path.relative_to(ROOT))
        if path.is_file():
            text = pieces[name].text if name in pieces else path.read_bytes()
            write(WORK / name, text + (HAS_SWITCH if name in LIBRARIES else b""))
    for library in LIBRARIES:
        write((WORK / library).with_name("fault.rs"), SWITCH.encode())
    # Much code that is run little.
    quick = re.sub(
        r"(?m)^opt-level = 2\n(.*\n)debug = 1$", r"opt-level = 1\n\1debug = 0", (ROOT / "Cargo.toml").read_text()
    )
    write(WORK / "Cargo.toml", quick.encode())
    return [fault for piece in pieces.values() for fault in piece.faults]


def compile_all() -> list[Fault]:
    """Leaves out what does not compile, until the rest does; what that is, is kept for the same sources."""
    cache = WORK / "without.json"
    texts = [Path(__file__).read_bytes(), *(path.read_bytes() for path in sources())]
    digest = hashlib.sha256(b"".join(texts)).hexdigest()
    known = json.loads(cache.read_text()) if cache.exists() else {}
    without: set[int] = set(known.get(digest, ()))
    while True:
        faults = write_tree(without)
        print(f"{len(faults)} faults", flush=True)
        checked = cargo("check", *(f"--package={crate}" for crate in CRATES))
        bad: set[int] = set()
        errors = []
        for line in checked.stdout.splitlines():
            message = json.loads(line).get("message")
            if isinstance(message, dict) and message["level"] == "error":
                bad |= blamed(faults, message)
                errors.append(message["rendered"])
        if checked.returncode == 0:
            cache.write_text(json.dumps({digest: sorted(without)}))
            return faults
        if not bad:
            sys.exit("".join(errors) or checked.stderr)
        print(f"{len(bad)} do not compile", flush=True)
        without |= bad


def blamed(faults: list[Fault], message: dict[str, object]) -> set[int]:
    """The faults where an error is: the innermost."""
    spans = message["spans"]
    assert isinstance(spans, list)
    for primary in (True, False):
        blamed = set()
        for span in spans:
            if span["is_primary"] is primary:
                within = [
                    fault
                    for fault in faults
                    if fault.file == span["file_name"] and fault.span[0] <= span["byte_start"] < fault.span[1]
                ]
                blamed |= {fault.id for fault in sorted(within, key=lambda f: f.span[1] - f.span[0])[:1]}
        if blamed:
            return blamed
    return set()


@dataclass
class Test:
    """A test of one binary."""

    binary: str
    folder: str
    name: str
    seconds: float = 0.0
    reaches: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        """As who noticed a fault."""
        return f"{Path(self.binary).name.rsplit('-', 1)[0]} {self.name}"

    def run(self, fault: int, limit: float, seen: Path | None = None) -> bool | None:
        """Whether it passes with this fault; none if it took too long."""

        def limits() -> None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))

        env = os.environ | {"VGIC_FAULT": str(fault)} | ({"VGIC_FAULTS_SEEN": str(seen)} if seen else {})
        command = [self.binary, "--exact", self.name, "--test-threads=1"]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=env, preexec_fn=limits, capture_output=True, timeout=300 + 60 * limit
            )
        except subprocess.TimeoutExpired:
            return None
        return None if done.returncode in {-signal.SIGXCPU, -signal.SIGKILL} else done.returncode == 0


def build_tests(packages: list[str]) -> list[Test]:
    """Every test of these crates."""
    built = cargo("test", "--no-run", "--lib", "--tests", *(f"--package={package}" for package in packages))
    if built.returncode:
        sys.exit(built.stderr)
    tests = []
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            binary, folder = message["executable"], str(Path(message["manifest_path"]).parent)
            listed = subprocess.run([binary, "--list", "--format=terse"], text=True, capture_output=True, check=True)
            names = [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]
            tests += [Test(binary, folder, name) for name in names]
    return tests


def note_reach(tests: list[Test], quick: float) -> list[Test]:
    """The quick ones, the quickest first: each is run once without a fault, to know what it comes by.

    That is kept for the same binary. Those that take longer are not run to their end.
    """
    seen, cache = WORK / "seen", WORK / "reach.json"
    known = json.loads(cache.read_text()) if cache.exists() else {}
    digests = {binary: hashlib.sha256(Path(binary).read_bytes()).hexdigest() for binary in {t.binary for t in tests}}
    for test in tests:
        key = f"{digests[test.binary]} {test.name}"
        # One that was too long is tried again where it may take longer.
        if key not in known or (known[key][1] is None and known[key][0] < quick):
            seen.unlink(missing_ok=True)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            passes = test.run(NOTE_ALL, min(quick, 3600), seen)
            if passes is False:
                sys.exit(f"mutants.py: {test} fails without a fault")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            reaches = seen.read_text() if seen.exists() else ""
            known[key] = [seconds, reaches] if passes else [min(quick, 3600), None]
            cache.write_text(json.dumps(known))
            print(f"{test}: {seconds:.1f} s{'' if passes else ', and longer'}", flush=True)
        test.seconds, reaches = known[key]
        test.reaches = set(map(int, (reaches or "").split()))
        if reaches is None:
            test.seconds = math.inf
    return sorted((test for test in tests if test.seconds <= quick), key=lambda test: test.seconds)


def try_fault(fault: Fault, tests: list[Test]) -> str:
    """Who notices it; what is not noticed, or not even come by, is said in so many words."""
    near = [test for test in tests if fault.id in test.reaches]
    for test in near:
        if not test.run(fault.id, 5 + 10 * test.seconds):
            return str(test)
    return "survives" if near else "is not reached"


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="*", metavar="FILE", help="files or folders; default: both crates")
    options.add_argument(
        "--tests", action="append", metavar="CRATE", help="whose tests; default: vgic-core, vgic-count, vgic-sim"
    )
    options.add_argument("--quick", type=float, default=math.inf, metavar="SECONDS", help="leave out longer tests")
    options.add_argument("--survivors", action="store_true", help="only what has survived so far")
    options.add_argument("--rest", action="store_true", help="only what was not tried so far")
    options.add_argument("--count", action="store_true", help="how many there are in each file, and no more")
    given = options.parse_args()
    files = wanted(given.files)
    if given.count:
        for file, number in Counter(fault.file for fault in write_tree(set())).items():
            print(f"{number:5} {file}")
        return
    faults = [fault for fault in compile_all() if fault.file in files]
    tests = note_reach(build_tests(given.tests or ["vgic-core", "vgic-count", "vgic-sim"]), given.quick)
    print(f"{len(tests)} tests, {sum(test.seconds for test in tests):.0f} s without a fault", flush=True)
    last = WORK / "faults.json"
    results = json.loads(last.read_text()) if last.exists() else {}
    if given.survivors:
        faults = [fault for fault in faults if results.get(str(fault)) in ALIVE]
    if given.rest:
        faults = [fault for fault in faults if str(fault) not in results]
    start = time.monotonic()
    for fault in faults:
        results[str(fault)] = try_fault(fault, tests)
        if results[str(fault)] in ALIVE:
            print(f"{fault}: {results[str(fault)]}", flush=True)
        last.write_text(json.dumps(results, indent=0))
    for file in files:
        of = Counter(results[str(fault)] for fault in faults if fault.file == file)
        alive = sum(of[how] for how in ALIVE)
        print(f"{file}: {of.total()} faults, {of.total() - alive} noticed, {of['is not reached']} not reached")
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
