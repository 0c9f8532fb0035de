"""``wandb``: exports to Weights & Biases (https://docs.wandb.ai/ref/python/).

A package is one W&B run. The W&B run's id is a digest of the package's key, so a second export
resumes it. Scores go into the summary, which has each value once; a second export would lengthen
the history. Files are an artifact; W&B creates no new version of an artifact for the same files.

A series of checkpoints is one W&B run. Its scores are the history, with the step of the training as
the step. A note in the run's directory has what the history has, so that an export adds only what
is new. W&B can change no row of a history: if the score of a step has changed, the series becomes
another W&B run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from snakeval.exporters import ExportError, Options, require
from snakeval.exporters.package import Package
from snakeval.exporters.wandb_history import Logged
from snakeval.results.readable import to_csv
from snakeval.run.directory import RunDirectory

Result = TypeVar("Result")

#: Seconds to wait until the library's service ends. It has sent everything by then.
_LEAVE = 10


#: The longest tag that the service takes.
_TAG = 64


def _tags(tags: Mapping[str, str]) -> list[str]:
    return [f"{name}:{value}" if value else name for name, value in tags.items()]


class WandbOptions(Options):
    """The options of ``wandb``."""

    per: Literal["run", "evaluation"] = "evaluation"
    project: str = Field(default="snakeval", min_length=1)
    entity: str | None = Field(default=None, description="null = the API key's entity")
    group: str | None = Field(default=None, description="null = name of the run's directory")
    name: str | None = Field(default=None, description="null = model/benchmark, or the run")
    job_type: str = "evaluation"
    description: str = ""

    @field_validator("tags")
    @classmethod
    def _short(cls, value: dict[str, str]) -> dict[str, str]:
        if any(not 1 <= len(tag) <= _TAG for tag in _tags(value)):
            raise PydanticCustomError(
                "tags",
                "has a tag that is empty or longer than 64 characters with its value; shorten it",
            )
        return value

    timeout: int = Field(default=300, ge=1, description="seconds for the upload of one entry")


class Wandb:
    """Logs runs to W&B; with WANDB_MODE=offline, to ``export/wandb`` for ``wandb sync``."""

    OPTIONS = WandbOptions

    def __init__(self, options: WandbOptions) -> None:
        self.options = options
        require("wandb", "wandb")

    def open(self) -> None:
        """Check the credentials."""
        import wandb

        def login() -> None:
            if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
                return
            if not wandb.login(verify=True, timeout=30):
                raise ExportError("no credentials of W&B; export WANDB_API_KEY")

        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            _asked(login)
        except BaseException:
            _leave(1)  # nothing was sent
            raise

    def send(self, package: Package) -> Sequence[str]:
        """Create the W&B run of *package*, or update it."""
        return _asked(lambda: self._send(package))

    def close(self) -> None:
        """End the library's service."""
        _leave(min(_LEAVE, self.options.timeout))

    def _send(self, package: Package) -> Sequence[str]:
        import wandb

        place = RunDirectory(package.directory).exports
        place.mkdir(exist_ok=True)
        logged = Logged.read(place, package)
        key = logged.key
        earlier = list(place.glob(f"wandb/*run-*-{key}"))
        status = "partial" if package.partial else "complete"
        run = wandb.init(
            id=key,
            resume="allow",
            project=self.options.project,
            entity=self.options.entity,
            group=self.options.group or package.run,
            name=self.options.name or package.name,
            job_type=self.options.job_type,
            notes=self.options.description or None,
            tags=[status, *_tags(package.tags)],
            config=_config(package),
            allow_val_change=True,
            dir=str(place),
            settings=_settings(self.options.timeout),
        )
        if run.disabled:
            raise ExportError("WANDB_MODE or WANDB_DISABLED switches W&B off; unset it")
        try:
            if package.series:
                self._log_steps(run, package, logged)
            run.summary.update({**package.scores, "snakeval/partial": package.partial})
            self._log_files(run, package, key)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is more helpful
                run.finish(exit_code=1)
            raise
        run.finish(exit_code=0)
        here = Path(run.dir).parent
        for directory in earlier:  # the new directory has all of their data
            if directory != here:
                shutil.rmtree(directory)
        if run.offline:
            return [f"wandb: {package.name} is {here}, for `wandb sync`"]
        shutil.rmtree(here, ignore_errors=True)
        if package.series:
            logged.write(package.steps)
        return [f"wandb: {package.name} is {run.url}"]

    @staticmethod
    def _log_steps(run: Any, package: Package, logged: Logged) -> None:
        """Add a row for each step that the history lacks; offline, for each step."""
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")
        for step in package.steps:
            if not run.offline and step.step in logged.steps:
                continue
            row = {"step": step.number, "finished": step.time, **step.scores}
            # W&B drops a row whose own step is lower than that of an earlier row. Plots use the
            # column `step`, so a checkpoint that is evaluated late is at its place also.
            run.log(row, step=step.number if step.number >= run.step else None, commit=True)

    def _log_files(self, run: Any, package: Package, key: str) -> None:
        import wandb

        artifact = wandb.Artifact(f"results-{key}", type="evaluation-results")
        with tempfile.TemporaryDirectory() as directory:
            table = Path(directory, "results.csv")
            table.write_text(to_csv(package.frame), encoding="utf-8")
            artifact.add_file(str(table))
            for file in package.artifacts:
                artifact.add_file(str(file.path), name=file.name)
            logged = run.log_artifact(artifact)
            if run.offline:
                return
            try:
                logged.wait(self.options.timeout)  # without it, a lost upload stays unnoticed
            except Exception as error:  # several types, some of them private to the library
                raise ExportError(f"files did not arrive: {error}", passing=True) from None


def _config(package: Package) -> dict[str, Any]:
    config: dict[str, Any] = {
        "run": package.run,
        "title": package.title,
        "key": package.key,
        "complete": not package.partial,
        "evaluations": {
            "done": package.done, "failed": package.failed, "missing": package.missing
        },
    }  # fmt: skip
    if package.series:
        config |= {"series": package.series, "definition": dict(package.facts)}
    if package.benchmark:
        reasons = package.frame["reason"].dropna()
        config |= {
            "model": package.model,
            "benchmark": package.benchmark,
            "status": str(package.frame["status"].iloc[0]),
            "reason": str(reasons.iloc[0]) if len(reasons) else "",
            "definition": dict(package.facts),
        }
    return config


def _settings(timeout: int) -> Any:
    """Return settings that log nothing about this process or machine, and that limit all waits."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        x_disable_machine_info=True,
        x_graphql_retry_max=4,
        x_graphql_retry_wait_max_seconds=10,
        x_file_stream_retry_max=4,
        x_file_stream_retry_wait_max_seconds=10,
        x_file_transfer_retry_max=4,
        x_file_transfer_retry_wait_max_seconds=10,
        init_timeout=60,
        finish_timeout=timeout,
        finish_timeout_raises=True,
    )


def _leave(seconds: float) -> None:
    """End the library's service, which is a separate process: by a request, or else by force.

    The library waits without limit. A service that answers while the library hangs up reads no
    further requests, not even the request to end. It would run as long as this process.
    """
    import wandb

    leaving = threading.Thread(target=wandb.teardown, daemon=True)
    leaving.start()
    leaving.join(seconds)
    if leaving.is_alive():
        for child in psutil.Process().children():
            if child.name() == "wandb-core":
                child.kill()
        leaving.join(1)


def _asked(action: Callable[[], Result]) -> Result:
    """Call the library and translate its errors into an :class:`ExportError`.

    Raises:
        ExportError: W&B rejected the request, or did not answer.
    """
    from wandb.errors import AuthenticationError, CommError, UsageError

    try:
        return action()
    except AuthenticationError as error:
        if "invalid API key" in str(error):
            raise ExportError(f"W&B refuses the key of WANDB_API_KEY ({error})") from None
        # The library also raises this error if no server could verify the key. Its text then
        # depends on when the library stopped asking.
        raise ExportError(f"W&B does not answer correctly ({error})", passing=True) from None
    except UsageError as error:
        hint = "; export WANDB_API_KEY" if "API key" in str(error) else ""
        raise ExportError(f"{str(error).rstrip('.')}{hint}") from None
    except TimeoutError:
        raise ExportError("W&B did not receive everything in time", passing=True) from None
    except (CommError, OSError) as error:
        raise ExportError(f"W&B says: {error}", passing=True) from None
