"""``mlflow``: exports to an MLflow tracking server (https://mlflow.org/docs/latest/tracking.html).

A package is one MLflow run, which the tag ``snakeval.key`` identifies. The scores are its metrics,
the evaluation's definition is its params, and everything that may change is in its tags. Metrics of
a series have the steps of the training.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from snakeval.errors import ConfigError
from snakeval.exporters import ExportError, Options, require, unreachable
from snakeval.exporters.package import Package, Step
from snakeval.exporters.scores import accepted, is_path
from snakeval.files import write_atomically
from snakeval.results.readable import to_csv

Result = TypeVar("Result")
_KEY = "snakeval.key"
_ARTIFACTS = "snakeval.artifacts"
#: The value of a metric at a step.
_History = Mapping[tuple[str, int], float]
#: MLflow's limits on the lengths of params and tags.
_PARAM, _TAG = 6000, 5000


def _is_tag(name: str) -> bool:
    """Whether MLflow takes *name* for a tag."""
    return is_path(name) and bool(re.fullmatch(r"[/\w.\- :]{1,250}", name))


class MlflowOptions(Options):
    """The options of ``mlflow``."""

    per: Literal["run", "evaluation"] = "evaluation"
    tracking_uri: str | None = Field(default=None, description="null = $MLFLOW_TRACKING_URI")
    experiment_name: str = Field(default="snakeval", min_length=1)
    run_name: str | None = Field(default=None, description="null = model/benchmark, or the run")
    description: str = ""

    @field_validator("tracking_uri")
    @classmethod
    def _no_password(cls, value: str | None) -> str | None:
        if value and re.search(r"//[^/]*@", value):
            raise PydanticCustomError(
                "url",
                "holds a user name or password; export MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD",
            )
        return value

    @field_validator("tags")
    @classmethod
    def _named(cls, value: dict[str, str]) -> dict[str, str]:
        if not all(map(_is_tag, value)):
            raise PydanticCustomError(
                "tags",
                "has a name that MLflow rejects; write up to 250 letters, digits, spaces and "
                "_ - . : /, and no part '..' or ''",
            )
        return value


class Mlflow:
    """Logs packages as runs of a tracking server."""

    OPTIONS = MlflowOptions

    def __init__(self, options: MlflowOptions) -> None:
        self.options = options
        require("mlflow", "mlflow")
        if not (options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")):
            raise ConfigError(
                "the server is unknown; set tracking_uri, or export MLFLOW_TRACKING_URI"
            )

    def open(self) -> None:
        """Find the experiment, or create it."""
        # snakeval retries and reports each retry. The library would be silent for four minutes, and
        # might create a second run after a lost answer. Its own output and telemetry are off.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=self.options.tracking_uri)
        name = self.options.experiment_name

        def find() -> str:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return self._client.create_experiment(name)
            if found.lifecycle_stage != "active":
                raise ExportError(f"the experiment '{name}' was deleted; restore it")
            return found.experiment_id

        self._experiment = _asked(find)

    def send(self, package: Package) -> Sequence[str]:
        """Create the MLflow run of *package*, or update it."""
        return _asked(lambda: self._send(package))

    def close(self) -> None:
        """Do nothing: the client holds no resources."""

    def _send(self, package: Package) -> Sequence[str]:
        tags = self._tags(package)
        params = {accepted(name): _cut(value, _PARAM) for name, value in package.facts.items()}
        run = self._find(package.key, params)
        known = self._history(run) if run is not None and package.steps else {}
        if run is not None and _contradicts(known, package.steps):
            self._supersede(run, package.key)
            run, known = None, {}
        if run is None:
            created = self._client.create_run(self._experiment, tags={_KEY: package.key})
            run = self._client.get_run(created.info.run_id)
        metrics = _new(package.steps, known) if package.steps else _scores(run, package)
        self._log(run, metrics, tags, params)
        run_id: str = run.info.run_id
        self._upload(run_id, package, run.data.tags.get(_ARTIFACTS, ""))
        status = "FAILED" if package.failed else "SCHEDULED" if package.missing else "FINISHED"
        self._client.update_run(run_id, status=status)
        return [f"mlflow: {package.name} is run {run_id} of experiment {self._experiment}"]

    def _find(self, key: str, params: Mapping[str, str]) -> Any:
        """Return the MLflow run of *key*.

        MLflow cannot change params. If the definition has changed, the old MLflow run stays.
        """
        where = f"tags.`{_KEY}` = '{key}'"  # only names and digits, which need no escaping
        found = self._client.search_runs(
            [self._experiment], where, order_by=["attributes.start_time ASC"]
        )
        kept = None
        for run in found:
            there = run.data.params.items()
            if kept is None and all(params.get(name, value) == value for name, value in there):
                kept = run
            else:  # has another definition, or a simultaneous export created it
                self._supersede(run, key)
        return kept

    def _supersede(self, run: Any, key: str) -> None:
        """Take the key from an MLflow run, and give it a tag that names its successor."""
        self._client.set_tag(run.info.run_id, _KEY, "")
        self._client.set_tag(run.info.run_id, "snakeval.superseded", key)

    def _history(self, run: Any) -> _History:
        """Return the values of each metric that an MLflow run has, by their steps."""
        return {
            (name, metric.step): metric.value
            for name in run.data.metrics
            for metric in self._client.get_metric_history(run.info.run_id, name)
        }

    def _tags(self, package: Package) -> dict[str, str]:
        tags = {
            "mlflow.runName": self.options.run_name or package.name,
            "mlflow.source.name": "snakeval",
            _KEY: package.key,
            "snakeval.run": package.run,
            "snakeval.title": package.title,
            "snakeval.complete": str(not package.partial).lower(),
            "snakeval.partial": package.partial,
            **package.tags,
        }
        if package.benchmark:
            tags |= {"snakeval.model": package.model, "snakeval.benchmark": package.benchmark}
            reasons = package.frame["reason"].dropna()
            tags["snakeval.status"] = str(package.frame["status"].iloc[0])
            tags["snakeval.reason"] = str(reasons.iloc[0]) if len(reasons) else ""
        if package.series:
            tags["snakeval.series"] = package.series
        if self.options.description:
            tags["mlflow.note.content"] = self.options.description
        return {name: _cut(value, _TAG) for name, value in tags.items()}

    def _log(
        self,
        run: Any,
        metrics: Sequence[Any],
        tags: Mapping[str, str],
        params: Mapping[str, str],
    ) -> None:
        """Log the metrics, and only those params and tags that are new."""
        from mlflow.entities import Param, RunTag

        new = [Param(name, v) for name, v in params.items() if name not in run.data.params]
        changed = [RunTag(n, v) for n, v in tags.items() if run.data.tags.get(n) != v]
        # A batch has at most 1000 entities, 100 params and 100 tags among them.
        for start in range(0, max(len(metrics), 1), 800):
            self._client.log_batch(run.info.run_id, metrics=metrics[start : start + 800])
        for start in range(0, max(len(new), len(changed)), 100):
            part = slice(start, start + 100)
            self._client.log_batch(run.info.run_id, params=new[part], tags=changed[part])

    def _upload(self, run_id: str, package: Package, before: str) -> None:
        """Upload the table and the artifacts, unless the server has the same ones."""
        files = [(a.name, a.size, a.path.stat().st_mtime_ns) for a in package.artifacts]
        table = to_csv(package.frame)
        state = hashlib.sha256(json.dumps([files, table]).encode()).hexdigest()
        if state == before:
            return
        with tempfile.TemporaryDirectory() as directory:
            write_atomically(Path(directory, "results.csv"), table)
            self._client.log_artifact(run_id, str(Path(directory, "results.csv")))
        for artifact in package.artifacts:
            above = Path(artifact.name).parent.as_posix()
            self._client.log_artifact(run_id, str(artifact.path), None if above == "." else above)
        self._client.set_tag(run_id, _ARTIFACTS, state)


def _scores(run: Any, package: Package) -> list[Any]:
    """Return the metrics of a package that are new, so that a history has each value once."""
    from mlflow.entities import Metric

    began = run.info.start_time
    there = run.data.metrics
    return [Metric(n, v, began, 0) for n, v in package.scores.items() if there.get(n) != v]


def _new(steps: Sequence[Step], known: _History) -> list[Any]:
    """Return the metrics of a series that no MLflow run has yet, with their steps and times."""
    from mlflow.entities import Metric

    return [
        Metric(name, value, int(1000 * step.time), step.number)
        for step in steps
        for name, value in step.scores.items()
        if (name, step.number) not in known
    ]


def _contradicts(known: _History, steps: Sequence[Step]) -> bool:
    """Whether a step has another value now; MLflow cannot change one, and would show both."""
    return any(
        known.get((name, step.number), value) != value
        for step in steps
        for name, value in step.scores.items()
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _asked(action: Callable[[], Result]) -> Result:
    """Call the server and translate its errors into an :class:`ExportError`.

    Raises:
        ExportError: the server rejected the request, or did not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return action()
    except MlflowException as error:
        status = int(error.get_http_status_code())
        if status in (401, 403):
            raise ExportError(
                f"the server refuses the credentials ({status}); export MLFLOW_TRACKING_TOKEN, or "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            ) from None
        if "failed with" in str(error) and "exception" in str(error):  # wording of requests
            raise ExportError(f"the server: {unreachable(error)}", passing=True) from None
        passing = status == 429 or status >= 500
        raise ExportError(f"the server says: {error}", passing=passing) from None
    except OSError as error:  # from requests, during an upload
        raise ExportError(f"the server: {unreachable(error)}", passing=True) from None
