"""Looks at the checkpoints that a command plans, and hashes them if it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snakeval.config.checkpoints import Member
from snakeval.config.models import Model
from snakeval.errors import ConfigError
from snakeval.run.checkpoints import Seen
from snakeval.series.expand import LeftOut
from snakeval.series.ready import GONE, NOT_SETTLED, Judged, judge
from snakeval.serving import weights


@dataclass(frozen=True, slots=True)
class Looked:
    """The weights of a checkpoint. An endpoint's have neither digest nor state.

    Attributes:
        path: its directory, or its model id at an endpoint.
        digest: as of :class:`snakeval.serving.deployment.Definition`; empty if it is not known.
        stat: a digest of the names, sizes and times of its files.
    """

    path: str
    digest: str = ""
    stat: str = ""


def look(
    members: Mapping[str, Model],
    before: Mapping[str, Seen],
    *,
    starts: bool,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> tuple[dict[str, Looked], list[LeftOut]]:
    """Return the weights of *members*, which are models, and those that are not ready any more.

    *before* are the checkpoints that earlier heads have seen. Only a start reads weights.
    """
    judged = _judged(members, waits=starts, sleep=sleep, clock=clock)
    found: dict[str, Looked] = {}
    left_out = []
    for name, model in members.items():
        path = member_of(model).path
        if model.endpoint is not None:
            found[name] = Looked(path)
            continue
        why = judged[name].why_not
        if not why:
            one = _weighed(name, model, judged[name].stat, before.get(name), starts=starts)
            if isinstance(one, Looked):
                found[name] = one
                continue
            why = one
        left_out.append(LeftOut(member_of(model).series, name, path, why))
    return found, left_out


def is_unchanged(path: str, stat: str) -> bool:
    """Whether the files of a checkpoint have the names, sizes and times of *stat*."""
    return weights.is_same_by_stat(Path(path), stat) and Path(path).is_dir()


def member_of(model: Model) -> Member:
    """Return the place of a model, which is a checkpoint, in its series."""
    assert model.member is not None, "the caller passes checkpoints"
    return model.member


def _judged(
    members: Mapping[str, Model],
    *,
    waits: bool,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> dict[str, Judged]:
    """Return what is known of each checkpoint. Only those are judged that have changed since.

    A configuration that a head saved may be weeks old.
    """
    found: dict[str, Judged] = {}
    stale: dict[str, dict[str, str]] = {}
    for name, model in members.items():
        member, path = member_of(model), member_of(model).path
        if model.endpoint or (member.stat and is_unchanged(path, member.stat)):
            found[name] = Judged(stat=member.stat)
        else:
            stale.setdefault(member.ready, {})[name] = path
    for ready, paths in stale.items():
        judged = judge(paths.values(), ready, waits=waits, sleep=sleep, clock=clock)
        found |= {name: judged[path] for name, path in paths.items()}
    return found


def _weighed(
    name: str, model: Model, stat: str, before: Seen | None, *, starts: bool
) -> Looked | str:
    """Return the weights of a checkpoint that was judged with the state *stat*, or why not."""
    assert model.deployment is not None, "an endpoint has no weights"
    path = member_of(model).path
    place = Path(path)
    if model.deployment.weights_digest == "stat":
        return Looked(path, f"stat:{stat}", stat)
    try:
        files = weights.files_of(place) if place.is_dir() else []
        if files and weights.by_stat(files) == stat:
            if not starts:
                same = before.digest if before and before.stat == stat else ""
                return Looked(path, weights.known(place) or same, stat)
            digest = weights.weigh(place, name=name)
            if weights.files_of(place) == files:
                return Looked(path, digest, stat)
    except ConfigError as error:
        if place.is_dir():
            return f"{NOT_SETTLED}: {error.problems[0].problem.partition(': ')[2] or error}"
    if not place.is_dir():
        return GONE
    return f"{NOT_SETTLED}: its files changed while a start read them"
