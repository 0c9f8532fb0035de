"""Re-scoring: a new run whose harnesses run over the answers that another run has stored.

The new run has copies of the journals, and a note that says whose they are. By the note, every
later command at the run is a re-score as well, and no request reaches a model that must not be
asked. The other run does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from snakeval.config.load import Selection
from snakeval.errors import ConfigError, did_you_mean
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.plain import build
from snakeval.evaluation.record import LEDGER, Completion, Metric
from snakeval.evaluation.takeover import link
from snakeval.files import DAMAGE
from snakeval.harnesses.generic import asks_nothing
from snakeval.ledger import brought
from snakeval.ledger.summary import folder_of
from snakeval.matrix.expand import LeftOut
from snakeval.run import index
from snakeval.run.directory import RunDirectory


@dataclass(frozen=True)
class Rescoring:
    """The answers that a run scores again, and whom it may ask.

    Attributes:
        origin: the absolute path of the run that has the answers.
        judges: the auxiliary models that are asked again.
        ask: whether models are asked for answers that the journals lack.
        own: the run itself, if it has started; its links keep the answers of a deleted run.
    """

    origin: str
    judges: tuple[str, ...] = ()
    ask: bool = False
    own: RunDirectory | None = field(default=None, compare=False)

    @classmethod
    def of(cls, run: RunDirectory, selection: Selection) -> Rescoring | None:
        """Return what *run*, which may not exist yet, scores again; None if it is no re-score.

        Raises:
            ConfigError: the note cannot be read, or *selection* says something else.
        """
        known = None
        if run.exists:
            try:
                note = run.read_rescore()
                known = None if note is None else build(cls, note)
            except (OSError, *DAMAGE) as error:
                raise ConfigError(f"{run.rescore}: cannot be read ({error}); check it") from None
        if known is not None:
            known._refuse_other(run, selection)
            return replace(known, ask=known.ask or selection.ask, own=run)
        if not selection.rescore:
            for key in ("judge", "ask"):
                if getattr(selection, key):
                    raise ConfigError(f"--config {key}: is of a re-score; add rescore=RUN")
            return None
        if run.exists:
            raise ConfigError(
                f"--config rescore={selection.rescore}: run {run.id} is no re-score; leave out run="
            )
        origin = index.find(selection.rescore).run.absolute()
        return cls(str(origin), tuple(selection.judge or ()), selection.ask)

    def _refuse_other(self, run: RunDirectory, selection: Selection) -> None:
        wanted, mine = selection.rescore, self.run
        names = (mine.id, mine.name, mine.path.name)
        is_mine = any(name.startswith(wanted) for name in names)
        if not (is_mine or Path(wanted).resolve() == mine.path):
            raise ConfigError(f"--config rescore={wanted}: run {run.id} scores {mine.id} again")
        if selection.judge and {*selection.judge} != {*self.judges}:
            raise ConfigError(
                f"--config judge: run {run.id} asks {', '.join(self.judges) or 'no judge'} again; "
                "leave it out, or start a new re-score"
            )

    @property
    def run(self) -> RunDirectory:
        """The run that had the answers first."""
        return RunDirectory(self.origin)

    @property
    def source(self) -> RunDirectory:
        """The run with answers and definitions: its own directory if the other run is gone."""
        return self.own if self.own is not None and self.is_gone else self.run

    @cached_property
    def is_gone(self) -> bool:
        """Whether the other run was deleted, and this one has links to its journals."""
        return self.own is not None and not self.run.exists

    def note(self, run: RunDirectory) -> None:
        """Note in *run*, before anything else, that it is a re-score."""
        run.make()
        run.rescore.parent.mkdir(exist_ok=True)
        run.write_rescore({"origin": self.origin, "judges": self.judges, "ask": self.ask})

    # --- evaluations ------------------------------------------------------------------------

    def narrowed(
        self, evaluations: Sequence[Evaluation]
    ) -> tuple[tuple[Evaluation, ...], tuple[LeftOut, ...]]:
        """Return the evaluations that can be scored again, and the others with their reasons.

        Raises:
            ConfigError: none can, or no evaluation asks a judge.
        """
        if not self.source.exists:
            raise ConfigError(f"run {self.run.id}: {self.run} is gone, and with it the answers")
        auxiliary = {name for each in evaluations for name in each.identity.auxiliary}
        for judge in self.judges:
            if judge not in auxiliary:
                known = f"; it has {', '.join(sorted(auxiliary))}" if auxiliary else ""
                hint = did_you_mean(judge, auxiliary) or known
                raise ConfigError(f"--judge {judge}: run {self.run.id} asks no such model{hint}")
        found, excluded = [], []
        for each in evaluations:
            if reason := self._obstacle(each):
                excluded.append(LeftOut(each.model, each.benchmark, reason))
            else:
                found.append(self._over_answers(each))
        if not found:
            listed = "; ".join(f"{o.model}/{o.benchmark} {o.reason}" for o in excluded[:3])
            raise ConfigError(f"run {self.run.id}: nothing can be scored again: {listed}")
        return tuple(found), tuple(excluded)

    def _obstacle(self, evaluation: Evaluation) -> str:
        """Return why an evaluation cannot be scored again, or nothing."""
        if self.judges and not {*self.judges} & {*evaluation.identity.auxiliary}:
            return f"does not ask {' or '.join(self.judges)}"
        source = self.source
        if not self.is_gone:
            if (done := self._before(evaluation)) is None:
                return f"is not finished in run {source.id}"
            mode = done.versions.get(LEDGER, "off")
            if mode != "on":
                return f"stored no answers in run {source.id}, since its ledger was {mode}"
        elif not self._identity(evaluation):
            return f"was not part of this re-score of run {self.run.id}, which is gone"
        directory = source.evaluation(evaluation.id)
        if not asks_nothing(evaluation) and not _files(directory, evaluation.model):
            return f"has no journal of requests in run {source.id} any more"
        return ""

    def _over_answers(self, evaluation: Evaluation) -> Evaluation:
        """Return *evaluation* as it runs over the answers of the run.

        The models are defined as they were: their weights or templates may have changed since, and
        the answers are of that time.
        """
        identity, transport = evaluation.identity, evaluation.transport
        transport = replace(transport, offline=not self.ask, online=self.judges)
        served = tuple(name for name in transport.servers if transport.asks(name))
        if not self.ask:
            before = self._identity(evaluation)
            others = before.get("auxiliary") or {}
            identity = replace(
                identity,
                deployment=before.get("deployment") or {},
                auxiliary={
                    name: model if transport.asks(name) else others.get(name, model)
                    for name, model in identity.auxiliary.items()
                },
            )
        return replace(evaluation, identity=identity, transport=replace(transport, servers=served))

    @cached_property
    def _fingerprints(self) -> Mapping[str, str]:
        return self.run.fingerprints()

    def _before(self, evaluation: Evaluation) -> Completion | None:
        """Return the completion of an evaluation in the run that has the answers."""
        fingerprint = self._fingerprints.get(evaluation.id)
        return self.run.evaluation(evaluation.id).completion(fingerprint) if fingerprint else None

    def _identity(self, evaluation: Evaluation) -> Mapping[str, Any]:
        if self.is_gone:
            return self.source.evaluation(evaluation.id).read_identity()
        before = self._before(evaluation)
        return before.identity if before is not None else {}

    def image(self, evaluation: Evaluation) -> str:
        """Return the image of the harness then, or nothing."""
        return str(self._identity(evaluation).get("image") or "")

    def changes(self, evaluation: Evaluation) -> list[str]:
        """Return what differs between an evaluation and that of the run."""
        before = self._identity(evaluation)
        return evaluation.identity.changes(before) if before else []

    # --- answers ----------------------------------------------------------------------------

    def bring(self, run: RunDirectory, evaluations: Iterable[Evaluation]) -> None:
        """Give *run* the stored answers: links to the journals, or copies on another disk.

        A gateway never writes to a file of an earlier one, so the links are safe.

        Raises:
            OSError: a journal cannot be read or copied.
        """
        for evaluation in evaluations:
            origin, own = self.run.evaluation(evaluation.id), run.evaluation(evaluation.id)
            for model in (evaluation.model, *evaluation.identity.auxiliary):
                if model in self.judges:
                    continue
                folder = folder_of(own.requests, model)
                if files := _files(origin, model):
                    folder.mkdir(parents=True, exist_ok=True)
                    brought.note(folder, (path.name for path in files))
                for path in files:
                    link(path, folder / path.name)

    # --- scores -----------------------------------------------------------------------------

    def outcome(self, run: RunDirectory, evaluation: Evaluation) -> str:
        """Return how the scores of an evaluation of *run* compare with those before, in words."""
        before = self._before(evaluation)
        after = run.evaluation(evaluation.id).completion(evaluation.fingerprint, evaluation.older)
        if before is None or after is None:
            return "is not done" if after is None else f"is gone from run {self.run.id}"
        found = differences(before, after)
        changed = self.changes(evaluation)
        by = f"changed: {'; '.join(changed[:3])}" if changed else "the same definition"
        result = f"differ: {'; '.join(found[:5])}" if found else "are equal to the digit"
        return f"the scores {result} ({by})"


def _files(directory: EvaluationDirectory, model: str) -> list[Path]:
    """Return the files of the journal of *model*."""
    return sorted(folder_of(directory.requests, model).glob("*.journal"))


def differences(before: Completion, after: Completion) -> list[str]:
    """Return which scores of two completions differ in any digit, and how."""
    old, new = _scores(before), _scores(after)
    found = []
    for key in {**old, **new}:
        one, other = old.get(key), new.get(key)
        if one != other:
            found.append(f"{' '.join(filter(None, key))} {_shown(one, other)}")
    return found


def _scores(record: Completion) -> Mapping[tuple[str, str, str], Metric]:
    return {(each.task, each.metric, each.filter): each for each in record.metrics}


def _shown(one: Metric | None, other: Metric | None) -> str:
    if one is None or other is None:
        return f"{one.value if one else 'none'} → {other.value if other else 'none'}"
    names = [n for n in ("value", "stderr", "n") if getattr(one, n) != getattr(other, n)]
    shown = [f"{getattr(one, name)} → {getattr(other, name)}" for name in names]
    return ", ".join(
        text if name == "value" else f"{name} {text}"
        for name, text in zip(names, shown, strict=True)
    )
