"""The directory of a run: the only module that knows its files' names and formats.

Below it are the directories of its evaluations (:mod:`snakeval.evaluation.directory`) and of its
deployments (:mod:`snakeval.serving.directory`). An object of this module holds a path as text;
construction reads nothing. It imports nothing heavy, since commands read it before they print.

Long because one owner holds all files of a run.
"""
# ruff: noqa: PTH110

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from snakeval.errors import ConfigError
from snakeval.evaluation.directory import EvaluationDirectory, JobDirectory
from snakeval.files import Directory, read_json, write_atomically, write_if_changed
from snakeval.run.plan import Planned

_STAMP = "%Y-%m-%d-%H-%M-%S"
_NAME = re.compile(r"(\d{4}(?:-\d\d){5})-([0-9a-f]{8})")


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

    def remote_jobs(self, name: str = "*/*") -> list[EvaluationDirectory]:
        """Return the evaluations that were submitted to another machine; or the one of *name*."""
        pattern = EvaluationDirectory(name).remote_job
        return [EvaluationDirectory(job.parent) for job in self.path.glob(str(pattern))]

    # --- configuration and identity -------------------------------------------------------

    @property
    def config(self) -> Path:
        """The resolved configuration. It holds names of keys, never keys."""
        return Path(f"{self._place}/config.yaml")

    def write_config(self, text: str, version: str) -> None:
        """Save the resolved configuration, and the *version* of snakeval that resolved it."""
        write_if_changed(self.config, text)
        write_if_changed(self._resolved, json.dumps({"snakeval": version}))

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
        data = json.loads(self.origin.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError(f"{self.origin} is damaged")
        return data

    def write_origin(self, origin: Mapping[str, Any]) -> None:
        """Save what made the run, once."""
        if not self.was_started:
            write_atomically(self.origin, json.dumps(origin, indent=1))

    # --- plan -----------------------------------------------------------------------------

    @property
    def plan_file(self) -> Path:
        """The plan: see :meth:`plan`."""
        return Path(f"{self._place}/.snakeval/plan.json")

    def plan(self) -> tuple[Planned, ...]:
        """Return the evaluations of the run, and the pairs that were left out.

        Raises:
            ConfigError: the plan is not there, or cannot be read.
        """
        path = self.plan_file
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            return tuple(Planned(*row) for row in rows)
        except FileNotFoundError:
            raise ConfigError(
                f"{self}: has no .snakeval/plan.json: it starts just now, or was partly deleted; "
                "run it again to rebuild the plan"
            ) from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
        except (ValueError, TypeError):
            raise ConfigError(f"{path}: is damaged; run it again to rebuild it") from None

    def write_plan(self, planned: Sequence[Planned]) -> None:
        """Save the plan, so that a later command can build the table from it."""
        rows = [[p.model, p.benchmark, p.fingerprint, p.left_out] for p in planned]
        write_if_changed(self.plan_file, json.dumps(rows))

    @property
    def allocations(self) -> Path:
        """Which evaluations share an allocation; see :mod:`snakeval.matrix.allocations`."""
        return Path(f"{self._place}/.snakeval/allocations.json")

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
            except (OSError, ValueError, KeyError, TypeError):
                continue  # the next start writes it again

    def _deployment_plans(self) -> list[Path]:
        return sorted(self.deployment_plan("x").parent.glob("*.json"))

    # --- Snakemake and executors ----------------------------------------------------------

    def head_file(self, host: str, pid: int) -> Path:
        """The note that a Snakemake process works at the run; see :mod:`snakeval.run.heads`."""
        return Path(f"{self._place}/.snakeval/heads/{host}-{pid}.json")

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

    @property
    def tables(self) -> tuple[Path, Path, Path]:
        """The results table in all its forms."""
        return self.table, self.table_json, self.table_markdown

    @property
    def report(self) -> Path:
        """The report's page."""
        return Path(f"{self._place}/report.html")

    @property
    def report_samples(self) -> Path:
        """The folder of the samples that the report's page loads."""
        return Path(f"{self._place}/report")

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
