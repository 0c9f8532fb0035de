"""Makes plain models of the series of a configuration that a head or a command loads.

Pass an :class:`Expansion` to :func:`snakeval.config.load.load` or ``choose``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from snakeval.config.checkpoints import AUTO, Checkpoints
from snakeval.config.config import Config
from snakeval.config.endpoints import Endpoint
from snakeval.errors import ConfigError, Problem
from snakeval.series import gone, pattern
from snakeval.series.expand import Candidate, Expanded, expand, is_wanted
from snakeval.series.ready import Judged, judge

#: The most checkpoints that a note lists.
_LISTED = 5


def _silent(line: str) -> None:
    """Print nothing."""


@dataclass
class Expansion:
    """Makes plain models of all series of a configuration, and notes what it leaves out.

    Attributes:
        waits: whether it looks twice at a checkpoint, as a real start. A dry run looks once.
        say: prints a note; there are none without series.
        listed: returns the model ids that the endpoint of a model lists; None in a dry run, which
            asks no endpoint.
        written: the configuration with its series, as the user wrote it; None before the call.
    """

    waits: bool
    say: Callable[[str], None] = _silent
    listed: Callable[[str, Endpoint], Iterable[str]] | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    written: Config | None = None

    def __call__(self, config: Config) -> tuple[Config, Callable[[str], str]]:
        """Return the configuration with plain models, and a function that says why one is absent.

        Raises:
            ConfigError: a checkpoint cannot be a model, or no model is left.
        """
        self.written = config
        series = {name: m.checkpoints for name, m in config.models.items() if m.checkpoints}
        if not series:
            return config, lambda name: ""
        candidates = self._candidates(config, series)
        absent = {
            name: pattern.why_nothing(each.pattern)
            for name, each in series.items()
            if config.models[name].deployment and not candidates[name]
        }
        if absent.keys() == config.models.keys():
            hint = "correct the pattern, or start `snakeval follow`, which waits for a checkpoint"
            raise ConfigError.of(
                Problem(why, f"models.{name}.checkpoints.pattern", hint)
                for name, why in absent.items()
            )
        made = expand(config, candidates)
        for line in notes(made, absent):
            self.say(line)
        reasons = {**made.why_left_out(), **absent}
        return made.config, lambda name: reasons.get(name) or gone.why_gone(config, name)

    def _candidates(
        self, config: Config, series: Mapping[str, Checkpoints]
    ) -> dict[str, list[Candidate]]:
        """Return the checkpoints of each series."""
        found = {
            name: self._found(config, name, each)
            for name, each in series.items()
            if config.models[name].deployment or self.listed
        }
        looked_at: dict[str, list[str]] = {}  # all of one kind at once, which is one wait
        for name, each in series.items():
            if config.models[name].deployment:
                wanted = (item.path for item in found[name] if is_wanted(each, item))
                looked_at.setdefault(each.ready, []).extend(wanted)
        judged = {ready: self._judged(paths, ready) for ready, paths in looked_at.items()}
        return {
            name: [
                Candidate(item, judged.get(each.ready, {}).get(item.path, Judged()))
                for item in found[name]
            ]
            for name, each in series.items()
            if name in found
        }

    def _found(self, config: Config, name: str, series: Checkpoints) -> list[pattern.Found]:
        endpoint = config.models[name].endpoint
        if endpoint is None or self.listed is None:
            return pattern.find(series.pattern)
        return pattern.match(series.pattern, self.listed(name, endpoint))

    def _judged(self, paths: Iterable[str], ready: str = AUTO) -> dict[str, Judged]:
        each = dict.fromkeys(paths)
        return judge(each, ready, waits=self.waits, sleep=self.sleep, clock=self.clock)


def notes(made: Expanded, absent: Mapping[str, str]) -> list[str]:
    """Return lines for a person: how many models each series is, and which are left out.

    *absent* says what there is of the patterns that describe nothing.
    """
    lines = []
    for name, models in made.models.items():
        left_out = [item for item in made.left_out if item.series == name]
        less = f", {len(left_out)} left out" if left_out else ""
        lines.append(f"Series {name}: {_count(len(models))}{less}")
        lines += [f"  {absent[name]}"] if name in absent else []
        lines += [f"  {item.model}: {item.reason}" for item in left_out[:_LISTED]]
        if len(left_out) > _LISTED:
            lines.append(f"  and {len(left_out) - _LISTED} more")
    return lines


def _count(number: int) -> str:
    return f"{number} checkpoint{'' if number == 1 else 's'}"
