"""Any command in any container: a jinja2 template in, metrics found by JMESPath out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jmespath
import yaml

from snakeval.completion import Metric
from snakeval.errors import EvaluationError
from snakeval.evaluation import Evaluation
from snakeval.harnesses import (
    Command,
    Paths,
    auxiliary_values,
    base_url,
    number,
    optional_count,
    optional_number,
)
from snakeval.shell import argv, render

PARSER_VERSION = 1
CACHES = ("cache/*",)

_API_KEY = "API_KEY"


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Render ``command`` and run it with ``sh -c``.

    The template knows model_id, url (the full route), base_url (without the route), endpoint_type,
    task, results and inputs (directories), api_key_name (the variable that holds the key),
    auxiliary and params. Each value is quoted for the shell; ``{{ x | raw }}`` is not.
    """
    identity, transport = evaluation.identity, evaluation.transport
    values = {
        "model_id": identity.model_id,
        "url": paths.endpoint_url,
        "base_url": base_url(paths.endpoint_url),
        "auxiliary": auxiliary_values(evaluation, paths),
        "endpoint_type": identity.endpoint_type,
        "task": identity.params.get("task") or identity.task,
        "results": paths.results,
        "inputs": paths.inputs,
        "api_key_name": _API_KEY if transport.api_key_name else "",
        "params": {
            **identity.params,
            "parallelism": transport.parallelism,
            "request_timeout": transport.request_timeout,
            "max_retries": transport.max_retries,
        },
    }
    text = render(identity.command, values)
    secrets = {_API_KEY: transport.api_key_name} if transport.api_key_name else {}
    return Command(argv(text), secrets=secrets)


def metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
    """Find each metric in the newest file that ``metrics.file`` matches."""
    mapping = evaluation.identity.metrics
    matches = [path for path in artifacts.glob(mapping["file"]) if path.is_file()]
    matches.sort(key=lambda path: path.stat().st_mtime)
    if not matches:
        raise EvaluationError(
            f"the command ended without writing {mapping['file']}; see its log, or correct "
            "metrics.file"
        )
    data = _parse(matches[-1], mapping.get("format") or "")
    found = []
    for name, where in mapping["values"].items():
        value = _search(data, where["value"], matches[-1].name)
        if value is None:
            raise EvaluationError(
                f"{matches[-1].name} has nothing at {where['value']!r}; correct "
                f"metrics.values.{name}"
            )
        n = _search(data, where.get("n"), matches[-1].name)
        found.append(
            Metric(
                evaluation.identity.task,
                name,
                number(_from_text(value), f"{name} ({where['value']})"),
                stderr=optional_number(
                    _from_text(_search(data, where.get("stderr"), matches[-1].name))
                ),
                n=optional_count(_from_text(n)),
                higher_is_better=where.get("higher_is_better"),
            )
        )
    return tuple(found)


def _parse(path: Path, kind: str) -> Any:
    kind = kind or {".json": "json", ".csv": "csv", ".tsv": "csv"}.get(path.suffix, "yaml")
    try:
        text = path.read_text(encoding="utf-8")
        if kind == "json":
            return json.loads(text)
        if kind == "csv":
            return list(
                csv.DictReader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ",")
            )
        return yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, csv.Error) as error:
        raise EvaluationError(f"{path.name} does not parse as {kind}: {str(error)[:200]}") from None


def _search(data: Any, expression: str | None, name: str) -> Any:
    if not expression:
        return None
    try:
        return jmespath.search(expression, data)
    except jmespath.exceptions.JMESPathError as error:
        raise EvaluationError(
            f"metrics: {expression!r} is no JMESPath for {name}: {str(error).splitlines()[0]}"
        ) from None


def _from_text(value: Any) -> Any:
    """CSV knows texts only."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
