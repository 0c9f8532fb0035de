"""The answer to ``Executor.stop``: the processes and jobs of a run, and how to stop them.

Its records are named tuples: to define one takes a quarter of a data class's time, and `status`
imports them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import NamedTuple

Act = Callable[[], None]


class Fate(Enum):
    """The fate of a process or a job when a run is stopped."""

    #: It is stopped, with harder and harder means.
    ENDS = "Ends"
    #: It has ended, and is kept for the next start.
    STAYS = "Keeps"
    #: Whether it is there cannot be known.
    UNKNOWN = "unknown"


class Remain(NamedTuple):
    """Something of a run that is there.

    Attributes:
        key: names it for as long as it is there.
        text: names it to a person.
        acts: how it is asked to end, ordered to end, and killed; None where something else does
            that. An act may raise :class:`snakeval.errors.EvaluationError`: it cannot be stopped.
        fate: what becomes of it.
        left: names it to a person if it could not be stopped, in place of ``text``.
        patience: seconds that its last act may take to show; None for the usual.
    """

    key: str
    text: str
    acts: tuple[Act | None, Act | None, Act | None] = (None, None, None)
    fate: Fate = Fate.ENDS
    left: str = ""
    patience: float | None = None


class Stage(IntEnum):
    """The order in which things are stopped: a stage begins when those before it are empty."""

    #: Snakemake, and the jobs in which snakeval itself runs: they clean up after themselves.
    WORKERS = 1
    #: Processes and containers that they left, and jobs that run without them.
    LEFT = 2
    #: Servers that the jobs asked.
    SERVERS = 3


Look = Callable[[], Iterable[Remain]]


class Stopping(NamedTuple):
    """The processes and jobs that an executor has to stop.

    Attributes:
        looks: stage -> a function that returns what is there now.
        silent: container engines that did not answer a look: their containers are not known.
    """

    looks: Mapping[Stage, Look] = MappingProxyType({})
    silent: AbstractSet[str] = frozenset()
