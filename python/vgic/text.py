"""Numbers in three digits, as the reports and the tables of ``vgic scale`` write them."""

__all__ = ["rate_text", "ratio_text", "time_text"]


def rate_text(rate: float) -> str:
    """A rate in three significant digits: ``12.3 M``."""
    for unit, size in ((" G", 1e9), (" M", 1e6), (" k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g}{unit}" if rate / size < 999.5 else f"{rate / size:.0f}{unit}"
    return f"{rate:.3g}"


def time_text(seconds: float | None) -> str:
    """A time in three significant digits: ``12.3 us``; ``-`` for none."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio_text(ratio: float | None) -> str:
    """A ratio in three significant digits: ``1.35x``."""
    if ratio is None:
        return "-"
    digits = 0 if ratio >= 100 else 1 if ratio >= 10 else 2 if ratio >= 0.1 else 4
    return f"{ratio:.{digits}f}\N{MULTIPLICATION SIGN}"
