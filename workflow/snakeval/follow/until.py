"""Decides when a follower ends: at a time, with a step, once a file exists, or by a signal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Self

from snakeval.config.checkpoints import number
from snakeval.errors import ConfigError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Stop(Enum):
    """Why a follower ends before its end."""

    NO = 0
    #: It asks its heads to end, and waits for them.
    WITH_HEADS = 1
    #: Its heads continue, and the next follower waits for them.
    WITHOUT_HEADS = 2


@dataclass(frozen=True, slots=True)
class Until:
    """The end of a follower; without any, it works until someone stops it.

    Attributes:
        time: it starts nothing after this time, in seconds since 1970.
        step: the last step. Once a checkpoint of this step or a later one is done, and all earlier
            ones that are ready, the follower ends.
        file: once it exists, the follower starts what is ready and ends.
    """

    time: float | None = None
    step: Decimal | None = None
    file: Path | None = None

    @classmethod
    def read(cls, text: str, file: Path | None, now: datetime) -> Self:
        """Return the end that ``--until`` and ``--until-file`` describe.

        Raises:
            ConfigError: *text* is neither a time, nor a duration, nor a step.
        """
        if not text:
            return cls(file=file)
        if (step := number(text)) is not None:
            return cls(step=step, file=file)
        if match := _DURATION.fullmatch(text):
            try:
                when = now + timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
            except OverflowError:
                raise _no_end(text) from None
            return cls(when.timestamp(), file=file)
        if re.fullmatch(r"\d{1,2}:\d\d", text):
            try:
                clock = datetime.strptime(text, "%H:%M").time()
            except ValueError:
                raise _no_end(text) from None
            when = datetime.combine(now.date(), clock, now.tzinfo)
            when += timedelta(days=when <= now)
            return cls(when.timestamp(), file=file)
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise _no_end(text) from None
        return cls(when.timestamp(), file=file)

    def is_over(self, now: float) -> bool:
        """Whether the time has come, after which nothing starts."""
        return self.time is not None and now >= self.time

    @property
    def has_file(self) -> bool:
        """Whether the file is there, with which the training ends."""
        return self.file is not None and self.file.exists()

    def is_last(self, step: str) -> bool:
        """Whether a step is the last one, or a later one."""
        value = number(step)
        return self.step is not None and value is not None and value >= self.step


def _no_end(text: str) -> ConfigError:
    return ConfigError(
        f"--until {text}: is no time, duration or step",
        hint="write 2026-12-24T18:00, 18:00, 12h, or a step such as 20000",
    )
