"""The directory of a deployment: the only module that knows its files' names and formats.

A model that is deployed has ``<run>/<model>/deployment/`` beside its evaluations, and
``deployment-2`` and so on if it is served in several allocations. Construction reads nothing.
"""
# ruff: noqa: PTH120

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from snakeval.errors import EvaluationError
from snakeval.evaluation.directory import JobDirectory
from snakeval.evaluation.record import now
from snakeval.files import (
    has_linked,
    lead,
    read_state,
    read_text,
    write_atomically,
    write_if_changed,
)
from snakeval.run.directory import RunDirectory

if TYPE_CHECKING:
    from snakeval.serving.plan import Plan

_FOLDER, _RECORD = "deployment", "deployment.json"


class DeploymentDirectory(JobDirectory):
    """``<run>/<model>/deployment/`` and its files."""

    __slots__ = ()

    @classmethod
    def of(cls, run: RunDirectory, name: str, number: int = 1) -> Self:
        """Return the directory of *run*'s deployment *name* in its allocation *number*."""
        return cls(f"{run}/{name}/{cls.folder(number)}")

    @classmethod
    def of_record(cls, record: Path | str) -> Self:
        """Return the directory of a deployment whose declared output is *record*."""
        return cls(os.path.dirname(os.fspath(record)))

    @classmethod
    def all(cls, run: RunDirectory) -> list[Self]:
        """Return the deployments of *run*, each as the directory of its first allocation."""
        return [cls.of(run, name) for name in sorted(run.deployments())]

    @staticmethod
    def folder(number: int) -> str:
        """Return the folder of a model's allocation *number*, which counts from 1."""
        return _FOLDER if number == 1 else f"{_FOLDER}-{number}"

    @staticmethod
    def number(folder: str) -> int:
        """Return the number of the allocation whose :meth:`folder` is *folder*."""
        return int(folder.removeprefix(_FOLDER).removeprefix("-") or 1)

    def allocations(self) -> list[Self]:
        """Return the directories of all allocations of this deployment that exist."""
        return [type(self)(path) for path in sorted(self.path.parent.glob(f"{_FOLDER}*"))]

    # --- paths ----------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """The record, as the rule ``deploy`` declares its output."""
        return f"{self._place}/{_RECORD}"

    @property
    def record(self) -> Path:
        """The record of the deployment: whether a server started, its URL and its log."""
        return Path(self.output)

    @property
    def log(self) -> Path:
        """The declared log: the progress of the job that deploys."""
        return Path(f"{self._place}/deploy.log")

    @property
    def server_log(self) -> Path:
        """The log of the server that was started last, or a link to it."""
        return Path(f"{self._place}/server.log")

    @property
    def live_log(self) -> Path:
        """Which endpoint's log is copied to which of the server's logs, and how far."""
        return Path(f"{self._place}/live-log.json")

    @property
    def events(self) -> Path:
        """The journal of the servers' events; see :mod:`snakeval.evaluation.events`."""
        return Path(f"{self._place}/events.jsonl")

    @property
    def timings(self) -> Path:
        """How long servers ran, in runs that have no events."""
        return Path(f"{self._place}/spent.jsonl")

    @property
    def script(self) -> Path:
        """``serve.sh``, which serves the model by hand."""
        return Path(f"{self._place}/serve.sh")

    # --- plan -----------------------------------------------------------------------------

    @property
    def plan_file(self) -> Path:
        """The plan: see :meth:`plan`."""
        return RunDirectory.of(self).deployment_plan(self.model)

    def plan(self) -> Plan:
        """Return the deployment with the evaluations that need it.

        Raises:
            EvaluationError: the plan is not there, or cannot be read.
        """
        from snakeval.serving.plan import Plan  # slow to import

        path = self.plan_file
        try:
            found = read_state(path, Plan.from_dict)
        except OSError as error:
            raise EvaluationError(
                f"{path} cannot be read ({error.strerror}); give the same command again"
            ) from None
        if found is None:
            raise EvaluationError(
                f"{path} cannot be read (missing or damaged); give the same command again"
            )
        return found

    def known_plan(self) -> Plan | None:
        """Return the plan if there is one that can be read."""
        try:
            return self.plan()
        except EvaluationError:
            return None

    @classmethod
    def plans(cls, run: RunDirectory) -> list[Plan]:
        """Return the plans of all deployments of *run*.

        Raises:
            EvaluationError: one cannot be read.
        """
        return [directory.plan() for directory in cls.all(run)]

    def defines(self, plan: Plan) -> bool:
        """Whether the plan here is *plan*, to the letter."""
        try:
            return read_text(self.plan_file) == plan.to_json()
        except (OSError, ValueError):
            return False  # missing or damaged

    def define(self, plan: Plan) -> None:
        """Save the plan for the jobs."""
        write_if_changed(self.plan_file, plan.to_json())

    # --- record and logs ------------------------------------------------------------------

    def read_record(self) -> dict[str, Any]:
        """Return what became of the deployment; empty if that is not known yet, or damaged.

        Raises:
            OSError: the record exists and cannot be read.
        """
        return read_state(self.output, dict) or {}

    def complete(self, told: Mapping[str, object]) -> None:
        """Publish what became of the deployment: its state, and of a server where it is."""
        self.forget_failure()
        data = {"deployment": self.model, "time": now(), **told}
        write_atomically(self.record, json.dumps(data))

    def begin_log(self) -> None:
        """Start the log of the job that deploys."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("", encoding="utf-8")

    def add_to_log(self, text: str) -> None:
        """Add a line to the log of the job that deploys."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{now()} {text}\n")

    # --- servers --------------------------------------------------------------------------

    def instance(self, number: int) -> Self:
        """Return the directory of one of several equal servers, which counts from 0."""
        return type(self)(f"{self._place}/instance-{number}")

    def instances(self) -> list[Self]:
        """Return the directories of all equal servers behind one address, if there are several."""
        return [type(self)(path) for path in sorted(self.path.glob("instance-*"))]

    @property
    def proxy(self) -> Self:
        """The directory of the proxy in front of several equal servers."""
        return type(self)(f"{self._place}/proxy")

    @property
    def proxy_config(self) -> Path:
        """The configuration of the proxy."""
        return Path(f"{self._place}/proxy/haproxy.cfg")

    def server_logs(self) -> list[Path]:
        """Return the logs of all starts of the server."""
        logs = sorted(self.path.glob("server-*.log"))
        is_link = self.server_log.is_symlink() or not self.server_log.exists()
        return logs if is_link else [*logs, self.server_log]

    def new_server_log(self) -> Path:
        """Return an empty log for another start; :attr:`server_log` leads to it.

        On a file system without symbolic links it is the log itself until the next start.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        number = 1
        while (log := self.path / f"server-{number}.log").exists():
            number += 1
        log.touch()
        if has_linked(self.server_log, log.name):
            return log
        log.unlink()
        if self.server_log.exists():
            self.server_log.rename(log)
        self.server_log.touch()
        return self.server_log

    def show_instance_log(self) -> None:
        """Make :attr:`server_log` lead to the first of several equal servers."""
        self.path.mkdir(parents=True, exist_ok=True)
        lead(self.server_log, self.instance(0).server_log.relative_to(self.path))


def undeployed(run: RunDirectory) -> dict[str, str]:
    """Return why the model of an evaluation could not be deployed, so that it never starts."""
    reasons: dict[str, str] = {}
    found: dict[str, str] = {}
    for name, evaluation in run.deployed():
        if name not in reasons:
            reasons[name] = DeploymentDirectory.of(run, name).failure_reason()
        if reasons[name]:
            found[evaluation] = reasons[name]
    return found
