"""What ``snakeval doctor`` says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at. ``no`` is fine as long as nobody needs it; ``wrong`` is to be mended."""

    what: str
    state: Literal["ok", "no", "wrong"]
    found: str
    to_do: str = ""
