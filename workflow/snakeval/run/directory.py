"""The directory of a run: the only module that knows its files' names and formats.

Below it are the directories of its evaluations (:mod:`snakeval.evaluation.directory`) and of its
deployments (:mod:`snakeval.serving.directory`). An object of this module holds a path as text;
construction reads nothing. It imports nothing heavy, since commands read it before they print.

Long because one owner holds all files of a run.
"""
# ruff: noqa: PTH110, PTH208

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from snakeval.errors import ConfigError
from snakeval.evaluation.canonical import shared_params
from snakeval.evaluation.directory import EvaluationDirectory, JobDirectory
from snakeval.evaluation.plain import build
from snakeval.files import (
    DAMAGE,
    Directory,
    NotAFileError,
    led_to,
    read_bytes,
    read_json,
    read_list,
    read_text,
    sealed,
    set_aside,
    sha256_of,
    write_atomically,
    write_if_changed,
    yaml_value,
)
from snakeval.ledger.locked import locked
from snakeval.run.plan import Planned, plan_text, read_plan
from snakeval.run.saved import SavedInvocation

if TYPE_CHECKING:
    from snakeval.run.checkpoints import Seen

#: The number of the PID namespace of a machine's first process (proc_ns.h of Linux).
_FIRST_NAMESPACE = "4026531836"
_STAMP = "%Y-%m-%d-%H-%M-%S"
_NAME = re.compile(r"(\d{4}(?:-\d\d){5})-([0-9a-f]{8})")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _folders(path: str) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        return [entry.name for entry in entries if _is_folder(entry)]
    return []


def _names(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(path)
    return []


class RunDirectory(Directory):
    """``<output_dir>/<YYYY-MM-DD-HH-MM-SS>-<id>/`` and its files."""

    __slots__ = ()

    @classmethod
    def of(cls, directory: JobDirectory) -> Self:
        """Return the run that the directory of an evaluation or of a deployment is in."""
        return cls(directory.run_path)

    @classmethod
    def of_delivery(cls, note: Path) -> Self:
        """Return the run whose :attr:`delivered` is *note*."""
        return cls(note.parent.parent)

    # --- the directory itself -------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name: the time of its first start and the invocation id."""
        return self.path.name or self.path.resolve().name

    @property
    def id(self) -> str:
        """The invocation id; empty if this is not the name of a run."""
        return self.id_of(self.name)

    @property
    def started(self) -> datetime:
        """When the run was started first, by its name.

        Raises:
            ValueError: this is not the name of a run.
        """
        return datetime.strptime(self.name[:19], _STAMP)

    @staticmethod
    def name_of(id: str, started: datetime) -> str:
        """Return the name of a run."""
        return f"{started.strftime(_STAMP)}-{id}"

    @staticmethod
    def id_of(name: str) -> str:
        """Return the invocation id in the name of a run, or nothing if *name* is no run's."""
        match = _NAME.fullmatch(name)
        return match[2] if match else ""

    @property
    def is_run(self) -> bool:
        """Whether it is a run's directory, perhaps partly deleted."""
        return self.exists and (self.was_started or bool(self.id_of(self.path.resolve().name)))

    def absolute(self) -> Self:
        """Return it with an absolute path, without links."""
        return type(self)(self.path.resolve())

    def make(self) -> None:
        """Make the directory."""
        self.path.mkdir(parents=True, exist_ok=True)

    # --- what is in it --------------------------------------------------------------------

    def evaluation(self, name: str) -> EvaluationDirectory:
        """Return the directory of the evaluation ``model/benchmark``."""
        return EvaluationDirectory(f"{self._place}/{name}")

    def evaluations(self) -> list[EvaluationDirectory]:
        """Return the evaluations that were ever defined, also those that left the plan."""
        pattern = EvaluationDirectory("*/*").spec
        return [EvaluationDirectory(spec.parent.parent) for spec in self.path.glob(str(pattern))]

    def remote_jobs(self, name: str = "") -> list[EvaluationDirectory]:
        """Return the evaluations that were submitted to another machine; or the one of *name*."""
        models = [] if name else _folders(self._place)
        names = [f"{model}/{each}" for model in models for each in _names(f"{self._place}/{model}")]
        found = map(self.evaluation, [name] if name else names)
        return [directory for directory in found if directory.was_submitted]

    def misplaced(self, places: Iterable[str]) -> list[Path]:
        """Return what is in the place of one of the run's directories but is none.

        *places* are the directories of jobs, as ``model/name``. One look at each folder is enough.
        """
        wanted = {
            "": {".snakeval", "report", "export"},
            ".snakeval": {"configurations", "deployments", "heads", "invocations"},
        }
        for place in places:
            model, _, name = place.partition("/")
            wanted[""].add(model)
            wanted.setdefault(model, set()).add(name)
        found = []
        for folder, names in wanted.items():
            with contextlib.suppress(OSError), os.scandir(f"{self._place}/{folder}") as entries:
                found += [Path(e.path) for e in entries if e.name in names and not _is_folder(e)]
        return found

    # --- configuration and identity -------------------------------------------------------

    @property
    def config(self) -> Path:
        """The resolved configuration. It holds names of keys, never keys."""
        return Path(f"{self._place}/config.yaml")

    def write_config(self, text: str, version: str) -> None:
        """Save the resolved configuration, and the *version* of snakeval that resolved it."""
        write_if_changed(self.config, text)
        write_if_changed(self._resolved, json.dumps({"snakeval": version}))

    def prices(self) -> dict[str, dict[str, Any]]:
        """Return the prices of the models that have some, by the saved configuration."""
        with contextlib.suppress(*DAMAGE):
            saved = self._saved_with("prices")
            models = {**(saved.get("auxiliary") or {}), **(saved.get("models") or {})}
            return {name: found for name, model in models.items() if (found := model.get("prices"))}
        return {}

    def limits(self) -> dict[str, float]:
        """Return the budget of the run's last command by kind, time in seconds."""
        with contextlib.suppress(*DAMAGE):
            if budget := self._saved_with("budget").get("budget"):
                from snakeval.config.ledger import Budget  # hardly any run has a budget

                return Budget.model_validate(budget).limits
        return {}

    def _saved_with(self, word: str) -> dict[str, Any]:
        """Return the saved configuration if it has *word*, else nothing: YAML takes a while."""
        with contextlib.suppress(OSError, *DAMAGE):
            text = read_text(self.config)
            return dict(yaml_value(text)) if word in text else {}
        return {}

    def members(self) -> Iterator[dict[str, dict[str, Any] | None]]:
        """Yield the models of each saved configuration with series: their places, or None.

        The configuration of the run is first, then those of its commands, the newest first.
        """
        saved = sorted(self.invocations(), key=lambda invocation: invocation.saved, reverse=True)
        for path in (self.config, *(invocation.config for invocation in saved)):
            with contextlib.suppress(OSError, *DAMAGE):
                text = read_text(path)
                models = (yaml_value(text).get("models") or {}) if "member" in text else {}
                yield {name: model.get("member") for name, model in models.items()}

    @property
    def _resolved(self) -> Path:
        return Path(f"{self._place}/.snakeval/resolved.json")

    def resolved_by(self) -> str:
        """Return the version of snakeval that resolved the configuration; empty if unknown."""
        return str((read_json(str(self._resolved)) or {}).get("snakeval", ""))

    @property
    def origin(self) -> Path:
        """The run's origin: see :meth:`read_origin`. The file is older than any record."""
        return Path(f"{self._place}/.snakeval/run.json")

    @property
    def was_started(self) -> bool:
        """Whether a first start left its mark."""
        return os.path.exists(f"{self._place}/.snakeval/run.json")

    def read_origin(self) -> dict[str, Any]:
        """Return ``id``, ``identity`` (name and parameters) and the version of ``snakeval``.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        data = read_json(str(self.origin))
        if data is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.origin))
        if not isinstance(data.get("identity", {}), dict):
            raise ValueError("its identity is no mapping")
        return data

    def write_origin(self, origin: Mapping[str, Any]) -> None:
        """Save what made the run, once. A damaged file is set aside and written again."""
        try:
            self.read_origin()
            return
        except FileNotFoundError:
            found = None
        except (ValueError, NotAFileError) as error:
            found = str(error)
        if found is not None:
            set_aside(self.origin, found)
        write_atomically(self.origin, json.dumps(origin, indent=1))
        if found is not None and self.id:
            # Records are newer: see :attr:`origin`.
            os.utime(self.origin, times=(self.started.timestamp(),) * 2)

    def identity(self) -> dict[str, Any] | None:
        """Return the name and the parameters that all evaluations of the run share, if known.

        A copy without hidden files has them in its configuration only.
        """
        with contextlib.suppress(OSError, *DAMAGE):
            known = self.read_origin()["identity"]
            return {**known, "params": shared_params(known["params"])}
        with contextlib.suppress(OSError, *DAMAGE):
            saved = yaml_value(read_text(self.config))
            params = shared_params(saved.get("params") or {})
            return {"name": saved.get("name", "evaluation"), "params": params}
        return None

    def _configuration(self, key: str) -> str:
        return f"{self._place}/.snakeval/configurations/{key}.json"

    def belongs_to(self, key: str) -> bool:
        """Whether the configuration *key* (see :func:`snakeval.run.find.keys`) started the run."""
        return os.path.exists(self._configuration(key))

    @property
    def has_configurations(self) -> bool:
        """Whether it is known which configurations started the run; an old run does not say it."""
        return os.path.exists(f"{self._place}/.snakeval/configurations")

    def add_configuration(
        self, key: str, files: Sequence[str], *, began: bool = False, ids: Iterable[str] = ()
    ) -> None:
        """Note that the configuration *key*, of *files*, started the run.

        *began* says that it made the run. The note then has its evaluations, of each start.
        """
        known = self._configuration_note(Path(self._configuration(key)))
        began = began or bool(known.get("began"))
        if began or not self.belongs_to(key):
            note = {"files": list(files), "began": began, "evaluations": [*ids] if began else []}
            write_if_changed(Path(self._configuration(key)), json.dumps(note))

    @staticmethod
    def _configuration_note(path: Path) -> dict[str, Any]:
        with contextlib.suppress(OSError, *DAMAGE):
            return read_json(str(path)) or {}
        return {}

    def defined_by_another(self, own: Sequence[str]) -> frozenset[str]:
        """Return the evaluations that only the configuration which made the run may change.

        Empty if that is one of *own*, if it is unknown, or if its files are gone.
        """
        notes = {
            path.stem: self._configuration_note(path)
            for path in Path(self._configuration("x")).parent.glob("*.json")
        }
        began = {key: note for key, note in notes.items() if note.get("began")}
        there = [note for note in began.values() if all(map(os.path.exists, note["files"]))]
        if not there or not began.keys().isdisjoint(own):
            return frozenset()
        return frozenset(name for note in there for name in note["evaluations"])

    @property
    def rescore(self) -> Path:
        """The note of a run that scores the stored answers of another run again."""
        return Path(f"{self._place}/.snakeval/rescore.json")

    def read_rescore(self) -> dict[str, Any] | None:
        """Return that note; None if the run is no re-score.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        return read_json(str(self.rescore))

    def write_rescore(self, note: Mapping[str, Any]) -> None:
        """Note which run's answers this run scores again."""
        write_if_changed(self.rescore, json.dumps(note))

    @property
    def lenders(self) -> Path:
        """The note of a run whose requests the journals of other runs answer first."""
        return Path(f"{self._place}/.snakeval/answers.json")

    def read_lenders(self) -> tuple[str, ...]:
        """Return the paths of these other runs.

        Raises:
            OSError, ValueError: the note cannot be read.
        """
        note = read_json(str(self.lenders)) or {}
        return tuple(map(str, note.get("runs") or ()))

    def write_lenders(self, runs: Sequence[str]) -> None:
        """Note the paths of these other runs; without any, remove the note."""
        if runs:
            self.make()
            self.lenders.parent.mkdir(exist_ok=True)
            write_if_changed(self.lenders, json.dumps({"runs": list(runs)}))
        else:
            self.lenders.unlink(missing_ok=True)

    # --- plan -----------------------------------------------------------------------------

    @property
    def plan_file(self) -> Path:
        """The plan: see :meth:`plan`."""
        return Path(f"{self._place}/.snakeval/plan.json")

    def plan(self) -> tuple[Planned, ...]:
        """Return the evaluations of the run, and the pairs that were left out.

        These are the plan of the command that started last, and what other commands add to it that
        work at the run now, in the order in which the commands started. Without a plan that can be
        read, they are the finished evaluations.

        Raises:
            ConfigError: there is no plan, and nothing is finished.
        """
        plan = {item.id: item for item in self._newest_plan()}
        for invocation in self._live_invocations():
            plan = {item.id: item for item in invocation.plan() or ()} | plan
        return tuple(plan.values())

    def _newest_plan(self) -> tuple[Planned, ...]:
        path = self.plan_file
        try:
            return read_plan(read_text(path))
        except FileNotFoundError:
            problem = (
                f"{self}: has no .snakeval/plan.json: it starts just now, or was partly deleted"
            )
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
        except (ValueError, TypeError):
            problem = f"{path}: is damaged"
        saved = sorted(self.invocations(), key=lambda invocation: invocation.saved, reverse=True)
        plans = (plan for invocation in saved if (plan := invocation.plan()) is not None)
        if found := next(plans, None) or self._published_plan():
            return found
        raise ConfigError(f"{problem}; running the run again writes it again")

    def _published_plan(self) -> tuple[Planned, ...]:
        """Return the finished evaluations, by their records."""
        found = []
        for path in sorted(self.path.glob(EvaluationDirectory("*/*").output)):
            with contextlib.suppress(OSError, *DAMAGE):
                record = read_json(str(path)) or {}
                names = ("model", "benchmark", "fingerprint")
                found.append(build(Planned, {name: record[name] for name in names}))
        return tuple(found)

    def write_plan(self, planned: Sequence[Planned]) -> None:
        """Save the plan of the command that starts now, for the table."""
        write_if_changed(self.plan_file, plan_text(planned))

    def has_plan(self, planned: Sequence[Planned]) -> bool:
        """Whether the plan that was saved last is *planned*, to the letter."""
        try:
            return read_text(self.plan_file) == plan_text(planned)
        except (OSError, ValueError):
            return False

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each evaluation that a command planned, by the newest plan."""
        saved = sorted(self.invocations(), key=lambda invocation: invocation.saved, reverse=True)
        plans = [invocation.plan() or () for invocation in saved]
        with contextlib.suppress(ConfigError):  # it starts just now
            plans.insert(0, self._newest_plan())
        found: dict[str, str] = {}
        for item in (item for plan in plans for item in plan if item.fingerprint):
            found.setdefault(item.id, item.fingerprint)
        return found

    # --- commands -------------------------------------------------------------------------

    def invocation(self, key: str) -> SavedInvocation:
        """Return what the command *key* saved for its jobs and its table."""
        return SavedInvocation(f"{self._place}/.snakeval/invocations/{key}")

    def invocations(self) -> list[SavedInvocation]:
        """Return what each command that started the run saved."""
        return [SavedInvocation(path) for path in self.invocation("x").path.parent.glob("*")]

    def _live_invocations(self) -> Iterator[SavedInvocation]:
        """Yield what commands saved whose Snakemake works at the run, the newest first."""
        if not self.head_files():
            return
        from snakeval.run.heads import heads

        for key in dict.fromkeys(head.invocation for head in reversed(heads(self))):
            if key:
                yield self.invocation(key)

    @property
    def allocations(self) -> Path:
        """Which evaluations share an allocation; see :mod:`snakeval.matrix.allocations`."""
        return Path(f"{self._place}/.snakeval/allocations.json")

    # --- what the head resolved once --------------------------------------------------------

    @property
    def pins(self) -> Path:
        """Digests of images and commits of models; see :mod:`snakeval.run.pins`."""
        return Path(f"{self._place}/.snakeval/pins.json")

    def write_pins(self, text: str) -> None:
        """Save the pins."""
        write_if_changed(self.pins, text)

    def snapshot(self, digest: str) -> Path:
        """The copy of a benchmark's files whose digest this is."""
        return Path(f"{self._place}/.snakeval/files/{digest[:32]}")

    @property
    def budget(self) -> Path:
        """The slices of the run's budget; see :mod:`snakeval.ledger.budget`."""
        return Path(f"{self._place}/.snakeval/budget")

    def probe(self, key: str) -> Path:
        """The note on whether containers of an image and a network can connect to a gateway."""
        return Path(f"{self._place}/.snakeval/probes/{key}")

    # --- series ---------------------------------------------------------------------------

    @property
    def series(self) -> Path:
        """The checkpoints of series that heads have seen; see :mod:`snakeval.run.checkpoints`."""
        return Path(f"{self._place}/.snakeval/series.json")

    def read_series(self) -> dict[str, Seen]:
        """Return these checkpoints by the names of their models; none if the file is damaged."""
        from snakeval.run.checkpoints import read_seen  # few runs have series

        with contextlib.suppress(OSError, *DAMAGE):
            return read_seen(read_bytes(self.series) or b"{}")
        return {}

    def update_series(self, change: Callable[[dict[str, Seen]], Mapping[str, Seen]]) -> None:
        """Replace these checkpoints by those that *change* returns, under a lock.

        Raises:
            OSError: they cannot be written.
        """
        from snakeval.run.checkpoints import seen_text

        with self.lock_series():
            write_if_changed(self.series, seen_text(change(self.read_series())))

    @contextlib.contextmanager
    def lock_series(self) -> Iterator[None]:
        """Let no other command change the plan of checkpoints meanwhile.

        Raises:
            OSError: the lock cannot be taken.
        """
        self.series.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.series.with_name("series.lock")):
            yield

    @property
    def alarms(self) -> Path:
        """The decisions on alarms and their deliveries; see :mod:`snakeval.run.alarms`."""
        return Path(f"{self._place}/.snakeval/alarms.jsonl")

    # --- deployments ----------------------------------------------------------------------

    def deployment_plan(self, name: str) -> Path:
        """The deployment *name* and the evaluations that need it; see :mod:`.serving.plan`."""
        return Path(f"{self._place}/.snakeval/deployments/{name}.json")

    def deployments(self) -> set[str]:
        """Return the names of what the run serves: models, and auxiliary ones."""
        return {path.stem for path in self._deployment_plans()}

    def deployed(self) -> Iterator[tuple[str, str]]:
        """Yield each deployment with each evaluation that needs it."""
        for path in self._deployment_plans():
            try:
                asking: Sequence[Sequence[str]] = (read_json(str(path)) or {})["evaluations"]
                yield from ((path.stem, evaluation) for evaluation, _ in asking)
            except (OSError, *DAMAGE):
                continue  # the next start writes it again

    def _deployment_plans(self) -> list[Path]:
        return sorted(self.deployment_plan("x").parent.glob("*.json"))

    # --- Snakemake and executors ----------------------------------------------------------

    def head_file(self, host: str, pid: int, namespace: str = "") -> Path:
        """The note that a Snakemake process works at the run; see :mod:`snakeval.run.heads`.

        Two containers may have the same host name, and a process with the same pid each.
        """
        number = "".join(filter(str.isdigit, namespace))
        suffix = "" if number in ("", _FIRST_NAMESPACE) else f"-{number}"
        return Path(f"{self._place}/.snakeval/heads/{host}-{pid}{suffix}.json")

    @property
    def follow_lease(self) -> Path:
        """The lease of the follower that works; see :mod:`snakeval.follow`."""
        return Path(f"{self._place}/.snakeval/follow.lease")

    @property
    def _waiting(self) -> Path:
        return Path(f"{self._place}/.snakeval/waiting.json")

    def read_waiting(self) -> dict[str, str]:
        """Return the paths of checkpoints that wait for a head, by the names of their models."""
        with contextlib.suppress(OSError, *DAMAGE):
            return {str(n): str(path) for n, path in (read_json(str(self._waiting)) or {}).items()}
        return {}

    def write_waiting(self, paths: Mapping[str, str]) -> None:
        """Note the checkpoints that wait, so that the next follower reports those that are gone.

        Raises:
            OSError: the note cannot be written.
        """
        write_if_changed(self._waiting, json.dumps(paths))

    def head_log(self, model: str) -> Path:
        """The output of the heads that followers start for a model."""
        return Path(f"{self._place}/.snakeval/heads/logs/{model}.log")

    def head_files(self) -> list[Path]:
        """Return the notes of all Snakemake processes."""
        return list(self.head_file("x", 0).parent.glob("*.json"))

    @property
    def endpoint_notes(self) -> Path:
        """The notes on endpoints that Lepton serves for the run."""
        return Path(f"{self._place}/.snakeval/lepton")

    @property
    def slurm_notes(self) -> Path:
        """The notes on the run's Slurm jobs."""
        return Path(f"{self._place}/.snakeval/slurm_resume")

    def slurm_notes_of(self, key: str) -> Path:
        """The notes of Snakemakes that started in one directory; *key* is a digest of its path."""
        return Path(f"{self._place}/.snakeval/slurm_resume-{key}")

    def all_slurm_notes(self) -> set[Path]:
        """Return the directories of all notes on the run's Slurm jobs."""
        links = [self.slurm_notes, *self.slurm_notes_of("*").parent.glob("slurm_resume-*")]
        return {(led_to(link) or link).resolve() for link in links}

    @property
    def executors(self) -> Path:
        """The list of installed executors that have had jobs of the run."""
        return Path(f"{self._place}/.snakeval/executors.json")

    def of_executor(self, name: str) -> Path:
        """The place of an installed executor's notes on the run: a file, folder or link."""
        return Path(f"{self._place}/.snakeval/executor-{name}")

    def file_time(self) -> float | None:
        """Return the present time of the file server's clock; None if nothing can be written."""
        probe = Path(f"{self._place}/.snakeval/.now.{os.getpid()}")
        try:
            probe.write_bytes(b"")
            return probe.stat().st_mtime
        except OSError:
            return None
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)

    # --- by hand --------------------------------------------------------------------------

    @property
    def script(self) -> Path:
        """``run_all.sh``, which runs every evaluation by hand."""
        return Path(f"{self._place}/run_all.sh")

    def write_script(self, text: str) -> None:
        """Save ``run_all.sh``."""
        write_if_changed(self.script, text, mode=0o755)

    def write_batch_script(self, model: str, text: str) -> None:
        """Save the script of *model* for sbatch."""
        write_if_changed(Path(f"{self._place}/sbatch_{model}.sh"), text, mode=0o755)

    def batch_log(self, pattern: str) -> str:
        """Return where a script for sbatch logs; *pattern* is a file name with sbatch's ``%``."""
        return f"{self._place.replace('%', '%%')}/.snakeval/{pattern}"

    # --- results --------------------------------------------------------------------------

    @property
    def table(self) -> Path:
        """The results table, as CSV."""
        return Path(f"{self._place}/results.csv")

    @property
    def table_json(self) -> Path:
        """The results table, as a list of rows."""
        return Path(f"{self._place}/results.json")

    @property
    def table_markdown(self) -> Path:
        """The results table, as people read it."""
        return Path(f"{self._place}/results.md")

    def note_table(self) -> None:
        """Note the content of the table, so that readers detect a damaged one."""
        digest = {"table": sha256_of(self.table_json)}
        write_if_changed(self._table_note, sealed(digest))

    def read_table(self) -> list[dict[str, Any]] | None:
        """Return the rows of the results table; None if they are not as they were written.

        Raises:
            OSError: a file exists and cannot be read.
        """
        with contextlib.suppress(ValueError):
            note = read_json(str(self._table_note))
            if note and note.get("table") == sha256_of(self.table_json):
                return read_list(self.table_json)
        return None

    @property
    def _table_note(self) -> Path:
        return Path(f"{self._place}/.snakeval/table.json")

    @property
    def tables(self) -> tuple[Path, Path, Path]:
        """The results table in all its forms."""
        return self.table, self.table_json, self.table_markdown

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files of the run that rules declare, without those of jobs."""
        return (*self.tables, self.report, self.report_summary, self.delivered)

    @property
    def report(self) -> Path:
        """The report's page."""
        return Path(f"{self._place}/report.html")

    @property
    def report_samples(self) -> Path:
        """The folder of the samples that the report's page loads."""
        return Path(f"{self._place}/report")

    @property
    def curves(self) -> Path:
        """The page of curves, if the run has a series of checkpoints."""
        return Path(f"{self._place}/report/curves.html")

    @property
    def report_summary(self) -> Path:
        """The report without plots and samples."""
        return Path(f"{self._place}/report/summary.html")

    @property
    def exports(self) -> Path:
        """The folder for exports."""
        return Path(f"{self._place}/export")

    @property
    def delivered(self) -> Path:
        """The note of what was exported where."""
        return Path(f"{self._place}/export/delivered.json")
