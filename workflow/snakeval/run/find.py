"""Run identity: which directory a configuration's run lives in.

A run belongs to the configuration files that it was started from, with a name and the parameters
of every evaluation. Adding a model or a benchmark extends the run; ``limit_samples`` makes another.
Another configuration joins a run only if it means the same by each evaluation that both have.

Long because the three ways to a run (started, claimed, joined) are read together.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from snakeval import __version__
from snakeval.config.config import Config
from snakeval.errors import ConfigError, Problem, did_you_mean
from snakeval.evaluation.canonical import shared_params
from snakeval.evaluation.definition import Evaluation, digest
from snakeval.run import claim, index
from snakeval.run.directory import RunDirectory

#: How many evaluations are listed that another configuration defines in another way.
_MOST = 20


def identity(config: Config) -> dict[str, Any]:
    """Return what two invocations must share to be the same run."""
    params = config.params.model_dump(mode="json", exclude_unset=True)
    return {"name": config.name, "params": shared_params(params)}


@dataclass(frozen=True, slots=True)
class Run:
    """A run's directory, ``<output_dir>/<YYYY-MM-DD-HH-MM-SS>-<id>/``.

    Attributes:
        files: the configuration files of the command, with absolute paths.
        chosen: whether the command chose the run, or a new one, by ``run=``.
        others: the runs that had started when the command searched for its own and found none.
    """

    id: str
    directory: RunDirectory
    identity: dict[str, Any]
    files: tuple[str, ...] = ()
    chosen: bool = False
    others: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def exists(self) -> bool:
        """Whether it was started before."""
        return self.directory.exists

    @property
    def keys(self) -> tuple[str, ...]:
        """Digests of the identity and the files: by their paths, and as seen from the run."""
        return keys(self.identity, self.files, self.directory.path.parent)

    @property
    def joins(self) -> str:
        """A digest that all configurations share which may join it; they have one claim."""
        return _shared(self.identity)

    def start(self, ids: Iterable[str] = ()) -> None:
        """Make its directory, and note there which configuration, of evaluations *ids*, starts it.

        Raises:
            OSError: it cannot be written.
        """
        is_new, ids = not self.directory.was_started, list(ids)
        self.directory.make()
        self.directory.write_origin(
            {"id": self.id, "identity": self.identity, "snakeval": __version__}
        )
        for key in self.keys:
            self.directory.add_configuration(key, self.files, began=is_new, ids=ids)
        root, name = self.directory.path.parent, self.directory.name
        claim.release(root, self.joins, (self.keys[0], name), name)


def keys(identity: Mapping[str, Any], files: Sequence[str], root: Path) -> tuple[str, ...]:
    """Return digests of an identity and its files.

    One is of the paths as seen from the output directory *root*, so that a run stays the same if it
    is moved together with its configuration.
    """
    place = os.path.realpath(root)
    places = (list(files), [os.path.relpath(file, place) for file in files])
    return tuple(digest([identity, paths])[:16] for paths in places)


def _shared(identity: Mapping[str, Any]) -> str:
    return digest(identity)[:16]


def at(config: Config, name: str) -> Run:
    """Return the run *name* of a configuration, which has started."""
    directory = RunDirectory(Path(config.output_dir).expanduser() / name)
    return Run(directory.id, directory, identity(config), chosen=True)


def reserve(run: Run, *, lasting: bool = False) -> Run | None:
    """Claim a new run for this command, which starts it; return the run to start.

    The result is another run, perhaps without a directory yet, if an equal command has claimed one.
    It is None if the search is out of date, because another command has started a run meanwhile.
    *lasting* is for a command whose start another process makes later.

    Raises:
        ConfigError: the output directory cannot be written.
    """
    if run.exists:
        return run
    root, name, key = run.directory.path.parent, run.directory.name, run.keys[0]
    if run.chosen:
        claim.promise(root, name, name, lasting=lasting)
        return run

    def is_current() -> bool:
        runs = (each for each in _runs(root) if each.name not in run.others and each.was_started)
        is_known = not any(_has_identity(each, run.identity) for each in runs)
        return is_known and claim.promised(root, key) in (None, name)

    found = claim.claim(root, run.joins, key, name, is_current)
    if found is None:
        return run if run.exists else None  # it has started just now
    if lasting:
        claim.promise(root, key, found, lasting=True)
        claim.withdraw(root, run.joins)
    directory = RunDirectory(root / found)
    return replace(run, id=directory.id, directory=directory)


def find(
    config: Config,
    choice: str | None = None,
    *,
    files: Iterable[Path] = (),
    evaluations: Callable[[RunDirectory], Sequence[Evaluation]] = lambda run: (),
    now: datetime | None = None,
) -> Run:
    """Return the run that *config*, read from *files*, belongs to; make nothing.

    *choice* is ``--config run=``: nothing for the newest run of the configuration (a new one if
    there is none), ``new`` for a new one, else an id or a directory name. The beginning of one is
    enough if it fits one run only. *evaluations* returns the configuration's evaluations as a run
    would have them.

    Raises:
        ConfigError: no run fits *choice*, several do, or the run's definitions are different.
    """
    same = identity(config)
    root = Path(config.output_dir).expanduser()
    paths = tuple(str(file.resolve()) for file in files)
    own = keys(same, paths, root)
    # Before the runs: a start ends its claim last, so this command sees the claim or the run.
    claimed = claim.claimed(root, _shared(same), own[0]) or claim.promised(root, own[0])
    runs = _runs(root)
    others: set[str] = set()

    def newest_first() -> Iterator[RunDirectory]:
        for each in reversed(runs):
            if each.was_started:  # before anything else is read of it
                others.add(each.name)
            yield each

    def run(directory: RunDirectory, *, chosen: bool = False) -> Run:
        return Run(directory.id, directory, same, paths, chosen, frozenset(others))

    if choice not in (None, "", "new"):
        directory = _chosen(str(choice), runs, root)
        _refuse_other_parameters(directory, same)
        return run(directory, chosen=True)
    if choice != "new":
        if started := _started(newest_first(), own):
            _refuse_changes(started, own, evaluations)
            return run(started)
        if claimed:
            return run(RunDirectory(root / claimed))
        if joined := _joined(reversed(runs), same, evaluations):
            return run(joined)
    return run(_new(root, runs, now or datetime.now()), chosen=choice == "new")


def _runs(root: Path) -> list[RunDirectory]:
    """Return the runs in an output directory, the oldest first."""
    try:
        names = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    except OSError as error:
        raise ConfigError(
            f"output_dir: {str(root)[:200]} cannot be read ({error.strerror}); name another "
            "directory or correct its permissions"
        ) from None
    return [RunDirectory(root / name) for name in names if RunDirectory.id_of(name)]


def _started(runs: Iterable[RunDirectory], own: Sequence[str]) -> RunDirectory | None:
    """Return the first of *runs* that belongs to a configuration, by its keys."""
    mine = (run for run in runs if any(map(run.belongs_to, own)))
    return next((run for run in mine if not _is_rescore(run)), None)


def _is_rescore(run: RunDirectory) -> bool:
    """Whether a run scores the answers of another one: only its name leads to it."""
    return run.rescore.exists()


#: Names of runs have the local time. The end of daylight saving repeats an hour of it.
_REPEATED = timedelta(hours=1, minutes=1)


def _new(root: Path, runs: Sequence[RunDirectory], now: datetime) -> RunDirectory:
    """Return a run with an id that no other run of this machine has."""
    taken = {run.id for run in runs} | index.ids()
    newest = max((run.started for run in runs), default=None)
    if newest is not None and timedelta() <= newest - now <= _REPEATED:
        now = newest + timedelta(seconds=1)
    while True:
        id = secrets.token_hex(4)
        # YAML and Snakemake's --config read 12345678 and 1e234567 as numbers.
        if id not in taken and {*id} & {*"abcdf"}:
            return RunDirectory(root / RunDirectory.name_of(id, now))


def _chosen(choice: str, runs: Sequence[RunDirectory], root: Path) -> RunDirectory:
    fitting = [run for run in runs if choice in (run.id, run.name)] or [
        run for run in runs if run.name.startswith(choice) or run.id.startswith(choice)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if RunDirectory.id_of(choice) and (
        # Or its first start has just ended the claim, after the runs were listed.
        claim.promised(root, choice) == choice or RunDirectory(root / choice).exists
    ):
        return RunDirectory(root / choice)
    if fitting:
        raise ConfigError(
            f"--config run={choice}: fits several runs in {root} "
            f"({', '.join(map(index.dated, fitting))}); write the name of one"
        )
    known = did_you_mean(choice, [name for run in runs for name in (run.name, run.id)])
    raise ConfigError(f"--config run={choice}: no such run in {root}{known or '; leave it out'}")


def _refuse_other_parameters(run: RunDirectory, same: dict[str, Any]) -> None:
    before = run.identity()
    if before is not None and before != same:
        raise ConfigError(
            f"--config run={run.name}: that run has {json.dumps(before)}, and the "
            f"configuration has {json.dumps(same)}; use the run's name and params, or "
            "leave out run="
        )


def _joined(
    runs: Iterable[RunDirectory],
    same: dict[str, Any],
    evaluations: Callable[[RunDirectory], Sequence[Evaluation]],
) -> RunDirectory | None:
    """Return the newest run whose evaluations are defined as in the configuration, if any.

    Raises:
        ConfigError: each run with the same evaluations defines some in another way.
    """
    refused: tuple[RunDirectory, list[Evaluation]] | None = None
    # A run's facts change definitions, not ids, and expanding a matrix takes long. The ids of the
    # first expansion therefore exclude each further run that shares none of them.
    ids: frozenset[str] | None = None
    for run in runs:
        if not _has_identity(run, same) or _is_rescore(run):
            continue
        planned = run.fingerprints()
        if ids is not None and ids.isdisjoint(planned):
            continue
        found = evaluations(run)
        ids = frozenset(e.id for e in found)
        shared = [e for e in found if e.id in planned]
        other = [e for e in shared if not is_same(e, planned[e.id])]
        # A run of an earlier version does not say which files it belongs to, and continues if its
        # file was edited.
        if shared and (not other or (not run.has_configurations and len(other) < len(shared))):
            return run
        if other and refused is None:
            refused = run, other
    if refused is not None:
        raise _other_definitions(*refused)
    return None


def _refuse_changes(
    run: RunDirectory,
    own: Sequence[str],
    evaluations: Callable[[RunDirectory], Sequence[Evaluation]],
) -> None:
    """Check that a configuration which joined a run still means the same by what they share.

    Raises:
        OtherDefinitionError: it does not.
    """
    if not (shared := run.defined_by_another(own)):
        return
    planned = run.fingerprints()
    mine = [e for e in evaluations(run) if e.id in shared and e.id in planned]
    if other := [e for e in mine if not is_same(e, planned[e.id])]:
        raise _other_definitions(run, other)


def _has_identity(run: RunDirectory, same: dict[str, Any]) -> bool:
    known = run.identity()
    # Of an earlier version, the id was the digest of the identity.
    return known == same if known is not None else run.id == digest(same)[:8]


def is_same(evaluation: Evaluation, fingerprint: str) -> bool:
    """Whether *fingerprint*, perhaps of an earlier format, is of the same definition."""
    own = (evaluation.fingerprint, evaluation.identity.fingerprint)
    return fingerprint in own or fingerprint in evaluation.older


class OtherDefinitionError(ConfigError):
    """A run, or a command that works at it, defines the same evaluations in another way."""


def _other_definitions(run: RunDirectory, other: Sequence[Evaluation]) -> OtherDefinitionError:
    hint = (
        f"--config run=new starts a new run, and --config run={run.id} changes that run's "
        "definitions"
    )
    problems = [
        Problem(
            f"run {index.dated(run)} of another configuration defines it differently{why}", e.id
        )
        for e in other[:_MOST]
        for why in [_difference(run, e)]
    ]
    if len(other) > _MOST:
        problems.append(Problem(f"{len(other) - _MOST} more evaluations are defined differently"))
    problems.append(Problem(f"the configuration cannot join run {run.id}", hint=hint))
    return OtherDefinitionError.of(problems)


def _difference(run: RunDirectory, evaluation: Evaluation) -> str:
    before = run.evaluation(evaluation.id).read_identity()
    changes = evaluation.identity.changes(before) if before else []
    return f" ({'; '.join(changes[:3])})" if changes else ""
