"""The intent of a command: a run, its evaluations, and those that the command chose.

Knows nothing of Snakemake and writes nothing. ``snakeval run`` checks an invocation before it
starts Snakemake, and the Snakefile opens one to plan the jobs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from snakeval.config.config import Config
from snakeval.config.load import Selection
from snakeval.dag.lenders import lenders_of
from snakeval.dag.rescoring import Rescoring
from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation, canonical_json, digest
from snakeval.evaluation.record import INTERVALS_VERSION
from snakeval.files import DAMAGE
from snakeval.harnesses import parser_versions
from snakeval.matrix.expand import LeftOut, deployments, split
from snakeval.matrix.facts import Facts
from snakeval.run.directory import RunDirectory
from snakeval.run.find import Run, at, find, reserve
from snakeval.run.plan import Planned, plan_text
from snakeval.run.saved import SavedInvocation
from snakeval.runtimes.local_images import digest_here
from snakeval.series.settle import nothing, settle
from snakeval.serving.deployment import Deployment


class Invocation:
    """One command: its configuration, its run and its evaluations.

    *files* are the files of the configuration, with which a run is found again. *run* is the run of
    the command if it is known, and may not exist yet.

    Attributes:
        selection: what ``--config`` chose.
        run: the run's id and directory, which may not exist yet.
        everything: all evaluations of the configuration.
        left_out: pairs that are not evaluated, with reasons.
        selected: the evaluations that this command chose, by model and benchmark.
        points: rows of the plan whose results other evaluations, or earlier commands, have.
        checkpoints: what the command does about the checkpoints of its series.
        deployed: the models that snakeval serves, by name.
        facts: pins of the run, and digests of weights. They are complete if the run *starts*.
        rescoring: the run whose stored answers it scores again; None for others.
        lenders: the paths of the runs whose journals answer before this run's own.
    """

    def __init__(
        self,
        config: Config,
        selection: Selection,
        files: Iterable[Path] = (),
        *,
        starts: bool = False,
        run: Run | None = None,
    ) -> None:
        self.config, self.selection, self.files = config, selection, tuple(files)
        self.run: Run = run or find(
            config,
            "new" if selection.rescore and not selection.run else selection.run,
            files=self.files,
            evaluations=lambda run: split(config, Facts(run))[0],
        )
        self.rescoring = Rescoring.of(self.run.directory, selection)
        # The answers of a re-score are stored, so it requires no checkpoint.
        self.checkpoints = (
            nothing(config)
            if self.rescoring is not None
            else settle(config, self.run.directory, selection.models, starts=starts)
        )
        self.config, config = self.checkpoints.config, self.checkpoints.plans
        self.selection = selection = self.checkpoints.with_stand_ins(selection)
        self.facts = Facts(
            self.run.directory,
            starts=starts,
            update_images=selection.update_images,
            local=digest_here,
            origin=self.rescoring.source if self.rescoring is not None else None,
            looked=self.checkpoints.weights,
        )
        everything, self.left_out = split(config, self.facts)
        everything, shared = self.checkpoints.shared(everything)
        self.points = (*shared, *self.checkpoints.rows(self.run.directory))
        if self.run.exists:
            directory = self.run.directory
            try:
                everything = tuple(
                    directory.evaluation(evaluation.id).format_that_counts(evaluation)
                    for evaluation in everything
                )
            except OSError as error:
                raise ConfigError(
                    f"{error.filename}: cannot be read ({error.strerror}); check it"
                ) from None
        self.lenders = lenders_of(selection, self.run.directory)
        self.everything = _once(everything, selection, self.lenders)
        served = {name for each in self.everything for name in each.transport.servers}
        idle = self.checkpoints.same_as.keys() - served
        deployed = deployments(config, self.facts).items()
        self.deployed = {name: made for name, made in deployed if name not in idle}
        if self.rescoring is not None:
            self.everything, excluded = self.rescoring.narrowed(self.everything)
            self.left_out = (*self.left_out, *excluded)
            asked = {name for each in self.everything for name in each.transport.servers}
            self.deployed = {n: made for n, made in self.deployed.items() if n in asked}
        self._select()

    @classmethod
    def of_saved(
        cls, saved: SavedInvocation, config: Config, selection: Selection
    ) -> Invocation | None:
        """Return the command that saved its definitions, for its jobs; None if they are damaged.

        Nothing is looked up again, so an edited configuration, other files of a benchmark or
        another version of the catalogue changes nothing.

        Raises:
            ConfigError: *selection* chooses nothing.
        """
        try:
            definitions = saved.definitions()
            deployed = definitions.deployments.items()
            made = cls.__new__(cls)
            made.deployed = {name: Deployment.from_dict(data) for name, data in deployed}
        except (OSError, *DAMAGE):
            return None
        plan = saved.plan() or ()
        made.checkpoints = nothing(config, plan)
        made.config, made.files = config, ()
        made.selection = made.checkpoints.with_stand_ins(selection)
        made.run = at(config, saved.run_path.name)
        made.facts, made.rescoring, made.lenders = Facts(made.run.directory), None, ()
        made.__dict__["key"] = saved.path.name
        made.everything = definitions.evaluations
        jobs = {each.id for each in made.everything}
        made.left_out = tuple(
            LeftOut(item.model, item.benchmark, item.left_out) for item in plan if item.left_out
        )
        made.points = tuple(item for item in plan if item.id not in jobs and not item.left_out)
        made._select()
        return made

    def _select(self) -> None:
        config, selection = self.config, self.selection
        self.selected: dict[tuple[str, str], Evaluation] = {
            (e.model, e.benchmark): e
            for e in self.everything
            if (selection.models is None or e.model in selection.models)
            and (selection.benchmarks is None or config.base(e.benchmark) in selection.benchmarks)
        }
        if not self.selected:
            raise ConfigError("--config models, benchmarks: no evaluation is in both; choose more")

    def share(self, at_once: int) -> None:
        """Let adaptive evaluations share an endpoint with no more others than run at once."""
        if not any(each.transport.rivals > at_once for each in self.everything):
            return
        self.everything = tuple(
            replace(e, transport=replace(e.transport, rivals=min(e.transport.rivals, at_once)))
            for e in self.everything
        )
        self._select()

    def evaluation(self, model: str, benchmark: str) -> Evaluation:
        """Return a selected evaluation.

        Raises:
            ConfigError: the run has no such evaluation.
        """
        try:
            return self.selected[model, benchmark]
        except KeyError:
            raise ConfigError(
                f"{model}/{benchmark} is no evaluation of this run; "
                "`snakemake -n` lists those that are"
            ) from None

    def reserved(self, *, lasting: bool = False) -> Invocation:
        """Claim the run for this command, which starts it: see :func:`snakeval.run.find.reserve`.

        Return the command with the run that it starts.

        Raises:
            ConfigError: the output directory cannot be written, or an equal command has started
                the run meanwhile and defines an evaluation differently.
        """
        run = reserve(self.run, lasting=lasting)
        if run is None:
            found = type(self)(self.config, self.selection, self.files, starts=self.facts.starts)
            return found.reserved(lasting=lasting)
        if run == self.run:
            return self
        # Not by `run=`: the equal command may not have made its directory yet.
        return type(self)(
            self.config, self.selection, self.files, starts=self.facts.starts, run=run
        )

    # --- files of the run -----------------------------------------------------------------

    @property
    def directory(self) -> RunDirectory:
        """The run's directory."""
        return self.run.directory

    @property
    def records(self) -> list[str]:
        """The completion records of the selected evaluations."""
        return [self.record(evaluation) for evaluation in self.selected.values()]

    def record(self, evaluation: Evaluation) -> str:
        """The path of the completion record of *evaluation*, as the rules spell it."""
        return self.directory.evaluation(evaluation.id).output

    # --- files for the jobs and the table of the command ------------------------------------

    @cached_property
    def planned(self) -> tuple[Planned, ...]:
        """The plan of the command: its evaluations, and the pairs that it leaves out."""
        return (
            *(Planned(e.model, e.benchmark, e.fingerprint) for e in self.everything),
            *(Planned(o.model, o.benchmark, left_out=o.reason) for o in self.left_out),
            *self.points,
        )

    @cached_property
    def key(self) -> str:
        """The digest of the configuration and the plan; equal commands save the same."""
        config = self.config.model_dump(mode="json", exclude_unset=True)
        return digest([config, plan_text(self.planned)])[:16]

    @property
    def saved(self) -> SavedInvocation:
        """The files that the command saves in its run."""
        return self.directory.invocation(self.key)

    @cached_property
    def is_saved(self) -> bool:
        """Whether the run's plan is the one of this command already."""
        return self.directory.has_plan(self.planned)

    # --- sources of the table and the exports ----------------------------------------------

    @property
    def plan(self) -> str:
        """A digest of what the table shows.

        A dropped benchmark changes it. The places of samples are in it, since the table's
        intervals come from samples, and so are the rules of health.
        """
        shown = sorted([e.id, e.fingerprint] for e in self.everything)
        reasons = [[item.model, item.benchmark, item.reason] for item in self.left_out]
        shown += [[p.id, p.fingerprint, p.same_as, p.left_out] for p in self.points]
        samples = {e.id: e.transport.samples for e in self.everything if e.transport.samples}
        rules = {e.id: [e.transport.health, e.transport.answers_as] for e in self.everything}
        rules = {name: given for name, given in rules.items() if any(given)}
        return digest([shown, reasons, *filter(None, (samples, rules))])

    @property
    def parsers(self) -> str:
        """Versions of parsers and statistics: a newer version remakes only the table."""
        used = sorted({evaluation.identity.adapter for evaluation in self.everything})
        versions = {**parser_versions(used), "intervals": INTERVALS_VERSION}
        return json.dumps(versions, sort_keys=True)

    @property
    def exports(self) -> list[str]:
        """The note of the exports, if the configuration has destinations."""
        return [str(self.directory.delivered)] if self.config.export else []

    @property
    def destinations(self) -> str:
        """The section ``export``: a changed section reruns only the exports."""
        return canonical_json(self.config.export)


def _once(
    everything: tuple[Evaluation, ...], selection: Selection, others: tuple[str, ...]
) -> tuple[Evaluation, ...]:
    """Return the evaluations with what this command alone wants of their ledgers."""
    if not (selection.ask_again or selection.offline or others):
        return everything
    # An attempt that repeats within the command must not drop answers again.
    again = f"{selection.ask_again} {uuid.uuid4().hex}" if selection.ask_again else ""
    return tuple(
        replace(
            each,
            transport=replace(
                each.transport, ask_again=again, offline=selection.offline, answers=others
            ),
        )
        for each in everything
    )
