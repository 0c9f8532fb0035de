"""What every executor offers to commands: what still runs, and how to stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: How long what was asked to end is waited for, in seconds: longer than a harness's and a
#: server's own grace together.
GRACE = 30.0


#: And how long after each harder word.
_STEP = 10.0


Act = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Remain:
    """Something that lives.

    ``acts``: how it is asked to end, told to end, and killed; None where another does that.
    """

    key: str
    text: str
    acts: tuple[Act | None, Act | None, Act | None] = (None, None, None)
