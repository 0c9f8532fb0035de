"""Formats durations for people; the only place that decides how a duration looks."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """Return a measured duration: ``5.3 s``, ``42 s``, ``3 min 02 s``, ``2 h 05 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute:02} min"
    return f"{minute} min {second:02} s" if minute else f"{second} s"


def estimate_text(seconds: float) -> str:
    """Return an estimate: ``less than a minute``, ``about 12 min``, ``about 1 h 05 min``."""
    if seconds < 60:
        return "less than a minute"
    hours, minute = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minute:02} min" if hours else f"about {minute} min"


def clock_text(seconds: float) -> str:
    """Return a running clock, which is narrow: ``0:31``, ``1:02:03``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
