"""Numbers in three digits, as all reports and tables write them."""

__all__ = ["many", "rate_text", "ratio_text", "time_text"]


def rate_text(rate: float) -> str:
    """A rate in three significant digits: ``12.3 M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rate >= size * 0.9995:
            return f"{_three_digits(rate / size)} {unit}"
    return f"{rate:.3g}"


def time_text(seconds: float | None) -> str:
    """A time in three significant digits: ``14.3 us``; ns without a fraction; ``-`` for none."""
    if not seconds:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size * 0.9995:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def ratio_text(ratio: float | None) -> str:
    """A ratio in three significant digits: ``1.35x``."""
    if ratio is None:
        return "-"
    digits = 0 if ratio >= 100 else 1 if ratio >= 10 else 2 if ratio >= 0.1 else 4
    return f"{ratio:.{digits}f}\N{MULTIPLICATION SIGN}"


def many(count: int, what: str) -> str:
    """``1 MSI``, ``2 MSIs``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _three_digits(value: float) -> str:
    """From 1 on, without an exponent."""
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"
