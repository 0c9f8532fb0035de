"""The parts that a follower works with: its heads, its series and its run.

Tests give it a world of their own, with a clock.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from typing import Protocol

from snakeval.config.config import Config
from snakeval.follow.schedule import Step
from snakeval.follow.sight import Seen


class Child(Protocol):
    """A head that a follower started."""

    @property
    def pid(self) -> int:
        """Its process."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""


class Sights(Protocol):
    """The series, at which a follower looks."""

    def look(self) -> Seen:
        """Look once."""

    @property
    def shared(self) -> Container[str]:
        """The series of which one server holds all steps."""

    @property
    def due(self) -> float | None:
        """When the next look makes a checkpoint ready, by the follower's clock."""

    @property
    def resting_since(self) -> float:
        """When a checkpoint changed last, by the follower's clock."""

    def wait(self, seconds: float) -> bool:
        """Wait for a change, at most *seconds*; return whether there was one."""

    @property
    def look_seconds(self) -> float:
        """The longest time between two looks."""


class Work(Protocol):
    """The run, which a follower reads and whose heads it starts."""

    def unfinished(self, config: Config, models: Sequence[str]) -> Collection[str]:
        """Return those of *models* that have evaluations to run."""

    def why_failed(self, model: str) -> str:
        """Return why an evaluation of *model* failed; empty if none did."""

    def others(self, mine: Collection[int]) -> Sequence[frozenset[str]]:
        """Return the models of each living head whose process is none of *mine*."""

    def lost(self, models: Collection[str]) -> Sequence[str]:
        """Return checkpoints that were ready or had a head, are none of *models*, and are gone."""

    def note_waiting(self, config: Config, models: Sequence[str], done: Collection[str]) -> None:
        """Note the models that wait for a head, for the next follower; *done* wait no more."""

    def start(self, config: Config, models: Sequence[str]) -> Child:
        """Start the head of some models.

        Raises:
            ConfigError, OSError: it cannot start.
        """


class Alarms(Protocol):
    """The alarms of the run."""

    def saw(self, steps: Sequence[Step]) -> None:
        """Learn which steps are ready."""

    def look(self, busy: Collection[str]) -> None:
        """Decide and deliver alarms, soon and elsewhere. The models in *busy* have heads."""

    def close(self) -> None:
        """Wait for deliveries, not for long."""


class NoAlarms:
    """The alarms of a run without any."""

    def saw(self, steps: Sequence[Step]) -> None:
        """Learn nothing."""

    def look(self, busy: Collection[str]) -> None:
        """Decide nothing."""

    def close(self) -> None:
        """Wait for nothing."""
