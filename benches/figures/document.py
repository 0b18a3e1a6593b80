"""The pieces of BENCHMARKS.md: bars with their verdicts, tables, and sections of both."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from figures.tools import ROOT
from vgic.measure import Effort
from vgic.measure.stats import Spread

__all__ = ["Bar", "Plan", "Section", "Update", "number", "spread", "table", "times"]

#: Called with the share done of a section (0 to 1) and what is being measured.
Update = Callable[[float, str], None]

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    quick: bool
    #: Samples of pinned workloads; of live workloads.
    pinned: Effort
    live: Effort

    @classmethod
    def full(cls) -> "Plan":
        """For figures to publish."""
        return cls(False, Effort(8, 10, 0.012), Effort(6, 4, 0.2))

    @classmethod
    def brief(cls) -> "Plan":
        """Shows that everything works; its figures are rough."""
        return cls(True, Effort(2, 2, 0.01), Effort(2, 2, 0.05))


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that was promised, and what was measured."""

    #: Leads to a remark in ``remarks.toml`` that is printed if the bar is missed.
    key: str
    text: str
    measured: Spread
    least: float | None = None
    most: float | None = None
    unit: str = TIMES

    @property
    def met(self) -> bool:
        """Whether the median is where it has to be."""
        return self._meets(self.measured.median)

    def _meets(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def elsewhere(self) -> list[tuple[str, float]]:
        """What it came to on other machines: their CPUs, and the medians (``elsewhere.toml``)."""
        return [(one["cpu"], float(one["measured"])) for one in _elsewhere().get(self.key, [])]

    @property
    def depends(self) -> bool:
        """Whether it is met on one machine and missed on another, so that neither says anything of the design."""
        return any(self._meets(value) != self.met for _, value in self.elsewhere)

    def dependence(self, cpu: str) -> str:
        """What it depends on, in a sentence, with what it is here, on that CPU."""
        values = [(f"{cpu} (here)", self.measured.median), *self.elsewhere]
        found = ", ".join(f"{number(value)}{self._unit} on {name}" for name, value in values)
        return f"depends on the machine: {found}; {self.limit} was asked for"

    @property
    def close(self) -> bool:
        """Whether the bar lies within the quartiles, so that another run may say otherwise."""
        return any(limit is not None and self.measured.low < limit < self.measured.high for limit in self._limits())

    def _limits(self) -> tuple[float | None, float | None]:
        return self.least, self.most

    @property
    def verdict(self) -> str:
        """``met``, ``MISSED``, or that it depends on the machine."""
        if self.depends:
            return "depends on the machine"
        word = "met" if self.met else "**MISSED**"
        return word + (", within the spread" if self.close else "")

    @property
    def limit(self) -> str:
        """The bar in words."""
        if self.least is not None:
            return f"at least {self.least:g}{self._unit}"
        return f"at most {self.most:g}{self._unit}"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    @property
    def value(self) -> str:
        """The measured median with its quartiles."""
        return spread(self.measured) + self._unit

    def to_dict(self) -> dict[str, Any]:
        """As written into the JSON file."""
        return {
            **asdict(self),
            "measured": self.measured._asdict(),
            "met": self.met,
            "close": self.close,
            "depends": self.depends,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of the document with what was measured for it."""

    key: str
    title: str
    #: Markdown below the heading.
    text: str
    bars: Sequence[Bar] = ()
    #: For the JSON file.
    data: dict[str, Any] = field(default_factory=dict)
    #: Files to write beside the document: path relative to it, content.
    files: dict[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """Heading, the bars, then the text."""
        parts = [f"## {self.title}", ""]
        if self.bars:
            rows = [(bar.text, bar.limit, bar.value, bar.verdict) for bar in self.bars]
            parts += [table(("bar", "asked for", "measured", ""), rows, left=4), ""]
        return "\n".join([*parts, self.text.strip(), ""])


@cache
def _elsewhere() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((ROOT / "benches" / "elsewhere.toml").read_text(encoding="utf-8"))


def number(value: float) -> str:
    """Three significant digits, with thousands separated."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    for limit, digits in ((10, 1), (0.995, 2), (0.0995, 3)):
        if size >= limit:
            text = f"{value:.{digits}f}"
            return text.rstrip("0").rstrip(".") if digits == 3 else text
    return f"{value:.3g}"


def spread(value: Spread) -> str:
    """Median with the quartiles."""
    if value.low == value.high:
        return number(value.median)
    return f"{number(value.median)} ({number(value.low)} to {number(value.high)})"


def times(value: Spread | None) -> str:
    """A ratio with its quartiles."""
    return "" if value is None else f"{value.median:.2f} ({value.low:.2f} to {value.high:.2f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are aligned left, the others right."""
    line = "|".join(":--" if column < left else "--:" for column in range(len(head)))
    lines = ["| " + " | ".join(head) + " |", f"|{line}|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
