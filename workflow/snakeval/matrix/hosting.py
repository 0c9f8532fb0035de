"""Which allocation hosts which deployment."""

from __future__ import annotations


def directory(number: int) -> str:
    """Name the directory of a model's allocation *number*, which counts from 1."""
    return "deployment" if number == 1 else f"deployment-{number}"


def number(name: str) -> int:
    """Return the number of the allocation whose :func:`directory` is *name*."""
    return int(name.removeprefix("deployment").removeprefix("-") or 1)
