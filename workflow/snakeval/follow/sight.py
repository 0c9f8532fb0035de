"""Looks at all series of a configuration, and makes the steps that can start."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from snakeval.config.checkpoints import MARK, Checkpoints, Member, check_model_name, split
from snakeval.config.config import Config
from snakeval.config.endpoints import Endpoint
from snakeval.errors import ConfigError
from snakeval.follow.looks import Looks, Sight, is_gone
from snakeval.follow.schedule import Step
from snakeval.series import pattern
from snakeval.series.expand import Candidate, expand, is_wanted
from snakeval.series.pattern import Found
from snakeval.series.ready import Judged


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of a look at all series.

    Attributes:
        config: the configuration with a model for each ready checkpoint; None if none is ready.
        steps: what can start, the newest step of each series first.
        waiting: why checkpoints are not ready, by the names of their models.
        problems: what is wrong, in sentences.
    """

    config: Config | None
    steps: tuple[Step, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


class Series:
    """The series of a configuration, at which a follower looks again and again.

    *listed* returns the model ids that the endpoint of a model lists.
    """

    def __init__(
        self,
        config: Config,
        looks: Looks,
        listed: Callable[[str, Endpoint], Iterable[str]],
    ) -> None:
        self._config, self._looks, self._listed = config, looks, listed
        self._last: dict[str, list[Candidate]] = {}
        self._series = {n: m.checkpoints for n, m in config.models.items() if m.checkpoints}

    def folders(self) -> set[str]:
        """Return the folders in which a checkpoint can appear or change."""
        found: set[str] = set()
        for name, series in self._series.items():
            if self._config.models[name].deployment:
                found.update(folders_of(series.pattern))
        return found

    @property
    def shared(self) -> frozenset[str]:
        """The series of which one server holds all steps: it swaps weights or loads adapters."""
        served = {name: self._config.models[name].deployment for name in self._series}
        return frozenset(
            name
            for name, each in served.items()
            if each and (each.swap or each.checkpoint_path or each.hf_model_handle)
        )

    @property
    def asks(self) -> bool:
        """Whether an endpoint lists the checkpoints of a series, which no folder reports."""
        return any(self._config.models[name].endpoint for name in self._series)

    def look(self) -> Seen:
        """Look once at all series."""
        problems: list[str] = []
        found: dict[str, list[Candidate]] = {}
        content: dict[str, str] = {}
        for name, series in self._series.items():
            try:
                found[name] = self._candidates(name, series, content, problems)
            except ConfigError as error:
                problems += map(str, error.problems)
                # Nothing disappears because an endpoint does not answer.
                found[name] = self._last.get(name, [])
        self._last = found
        self._looks.forget(content)
        try:
            made = expand(self._config, found)
        except ConfigError as error:
            if any(not each.judged.why_not for some in found.values() for each in some):
                problems += map(str, error.problems)
            return Seen(None, waiting=self._waiting(found), problems=tuple(problems))
        steps = []
        for name, model in self._config.models.items():
            if (of_series := model.checkpoints) is None:
                steps.append(Step(name))
                continue
            members = made.models[name]
            newest = members if of_series.order == "newest" else members[::-1]
            for member in newest:
                served = made.config.models[member].deployment
                path = (served.adapter_path or served.checkpoint_path or "") if served else ""
                steps.append(Step(member, content.get(path, "")))
        # A model without series is there from the beginning, and is older than all checkpoints.
        steps.sort(key=lambda step: MARK not in step.model)
        waiting = {item.model: item.reason for item in made.left_out}
        return Seen(made.config, tuple(steps), waiting, tuple(problems))

    def _candidates(
        self, name: str, series: Checkpoints, content: dict[str, str], problems: list[str]
    ) -> list[Candidate]:
        """Return the checkpoints of a series; add the state of their files to *content*."""
        endpoint = self._config.models[name].endpoint
        if endpoint is not None:
            found = pattern.match(series.pattern, self._listed(name, endpoint))
            return [Candidate(item, Judged()) for item in _named(name, found, problems)]
        there = _named(name, pattern.find(series.pattern), problems)
        wanted = [item.path for item in there if is_wanted(series, item)]
        sights = self._looks.look(wanted, series.ready)
        content.update({path: sight.content for path, sight in sights.items()})
        none = Sight(Judged())
        each = [(item, sights.get(item.path, none)) for item in there]
        return [Candidate(item, sight.judged) for item, sight in each if not is_gone(sight)]

    def _waiting(self, found: Mapping[str, Iterable[Candidate]]) -> dict[str, str]:
        return {
            self._member(name, each.found).name: each.judged.why_not
            for name, candidates in found.items()
            for each in candidates
            if each.judged.why_not
        }

    def _member(self, name: str, found: Found) -> Member:
        series = self._series[name]
        values = {key: found.values[key] for key in series.wildcards}
        return Member.model_construct(series=name, values=values, axis=series.axis)


def _named(series: str, found: Iterable[Found], problems: list[str]) -> list[Found]:
    """Return the checkpoints whose values fit a name; the others are problems."""
    fitting = []
    for item in found:
        try:
            for value in item.values.values():
                check_model_name(f"{series}{MARK}{value}")
            fitting.append(item)
        except ValueError as error:
            problems.append(f"{item.path}: {error}")
    return fitting


def folders_of(text: str) -> set[str]:
    """Return the folders that exist in which a pattern's checkpoints appear or change."""
    parts = text.split("/")
    first = next(number for number, part in enumerate(parts) if len(split(part)) > 1)
    base = "/".join(parts[:first]) or "/"
    while not os.path.isdir(base):  # noqa: PTH112  as text, like the folders below
        base = os.path.dirname(base) or "/"  # noqa: PTH120
    found = {base}
    for end in range(first + 1, len(parts) + 1):
        shape = "/".join("*".join(map(glob.escape, split(part)[::2])) for part in parts[:end])
        found.update(folder for folder in glob.glob(shape) if os.path.isdir(folder))  # noqa: PTH112, PTH207
    return found
