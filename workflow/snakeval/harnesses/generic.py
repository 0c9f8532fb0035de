"""The adapter of generic commands: it renders a jinja2 template and finds metrics by JMESPath."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jmespath

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Metric
from snakeval.evaluation.trees import is_artifact
from snakeval.files import TwiceError, json_value, yaml_value
from snakeval.harnesses import auxiliary_values, base_url, bounded
from snakeval.harnesses.adapter import Command, Paths, Sample
from snakeval.harnesses.values import (
    NoSuchFile,
    Unscored,
    WrongPlace,
    finder,
    number,
    optional_count,
    optional_number,
    score,
    scored,
    text,
)
from snakeval.shell import argv, render, variables

PARSER_VERSION = 1
#: Only the command knows from which of its files it continues if no ledger has its answers.
RESUMES = ("*",)

_API_KEY = "API_KEY"


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Render ``command`` and run it with ``sh -c``.

    The template's variables are model_id, url (the full route), base_url (without the route),
    endpoint_type, task, results and inputs (directories), api_key_name (the variable that has the
    key), auxiliary and params. The shell reads each value as one word; ``{{ x | raw }}`` is
    unquoted.
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


def asks_nothing(evaluation: Evaluation) -> bool:
    """Whether the harness is a command that has neither the URL nor the key of a model."""
    identity, transport = evaluation.identity, evaluation.transport
    if identity.adapter != "generic" or transport.api_key_name or transport.auxiliary_keys:
        return False
    return not variables(identity.command) & {"url", "base_url", "auxiliary"}


def metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric | Unscored, ...]:
    """Find each metric in the newest file that ``metrics.file`` matches."""
    mapping = evaluation.identity.metrics
    file = _newest(artifacts, mapping["file"])
    if file is None:
        raise NoSuchFile(
            _why_no_artifact(artifacts, mapping["file"])
            or f"the command ended without writing {mapping['file']}; see its log, or correct "
            "`metrics.file`"
        )
    data = _parse(file, mapping.get("format") or "")
    found = []
    for name, where in mapping["values"].items():
        n = _search(data, where.get("n"), file.name)
        found.append(
            scored(
                evaluation.identity.task,
                name,
                "",
                partial(_value, data, name, where["value"], file.name),
                stderr=optional_number(_from_text(_search(data, where.get("stderr"), file.name))),
                n=optional_count(_from_text(n)),
                higher_is_better=where.get("higher_is_better"),
            )
        )
    return tuple(found)


def _value(data: Any, name: str, place: str, file: str) -> float:
    value = _search(data, place, file)
    if value is None:
        raise WrongPlace(f"{file} has nothing at {place!r}; correct metrics.values.{name}")
    return number(_from_text(value), f"{name} ({place})")


def _newest(artifacts: Path, pattern: str) -> Path | None:
    matches = [path for path in artifacts.glob(pattern) if is_artifact(path, artifacts)]
    return max(matches, key=lambda path: path.stat().st_mtime, default=None)


def _why_no_artifact(artifacts: Path, pattern: str) -> str:
    """Return why what has the name of the results is none, or nothing."""
    for path in artifacts.glob(pattern):
        kind = "neither a file nor a directory"
        if path.is_symlink():
            kind = "a link to no file of the artifacts"
        elif path.is_dir():
            kind = "a directory"
        return f"{path.relative_to(artifacts)} is {kind}; let the command write a file"
    return ""


_TEXTS = ("question", "answer", "reference", "group")


def samples(evaluation: Evaluation, artifacts: Path) -> Iterator[Sample]:
    """Yield the samples that ``metrics.samples`` describes; read JSON lines and CSV by line."""
    mapping = evaluation.transport.samples
    file = _newest(artifacts, mapping["file"]) if mapping else None
    if file is None:
        return
    paths = {name: finder(mapping[name]) for name in ("id", *_TEXTS) if mapping[name]}
    scores = {name: finder(path) for name, path in mapping["scores"].items()}
    for position, item in enumerate(_items(file, mapping), 1):
        try:
            found = {name: score(_from_text(find(item))) for name, find in scores.items()}
            name = text(paths["id"](item)) if "id" in paths else ""
            texts = {name: text(paths[name](item)) for name in _TEXTS if name in paths}
        except jmespath.exceptions.JMESPathError as error:
            raise EvaluationError(
                f"metrics.samples: does not fit sample {position} of {file.name}: "
                f"{str(error).splitlines()[0]}"
            ) from None
        yield Sample(
            name or str(position),
            evaluation.identity.task,
            {name: value for name, value in found.items() if value is not None},
            **texts,
        )


def _items(file: Path, mapping: Mapping[str, Any]) -> Iterator[Any]:
    kind = mapping.get("format") or {".jsonl": "jsonl", ".csv": "csv", ".tsv": "csv"}.get(
        file.suffix, ""
    )
    if kind not in ("jsonl", "csv"):
        found = _search(_parse(file, kind), mapping.get("items") or "@", file.name)
        if not isinstance(found, list):
            raise EvaluationError(
                f"{file.name} has no list of samples at {mapping.get('items') or '@'!r}; correct "
                "metrics.samples.items"
            )
        yield from found
        return
    lines = bounded.lines(file, newline="")
    try:
        if kind == "csv":
            yield from csv.DictReader(lines, delimiter="\t" if file.suffix == ".tsv" else ",")
        else:
            yield from (json_value(line) for line in lines if line.strip())
    except (ValueError, csv.Error) as error:
        raise EvaluationError(f"{file.name} does not parse as {kind}: {str(error)[:200]}") from None


def _parse(path: Path, kind: str) -> Any:
    kind = kind or {".json": "json", ".csv": "csv", ".tsv": "csv"}.get(path.suffix, "yaml")
    try:
        text = bounded.whole(path)
        if kind == "json":
            return json_value(text, unique=True)
        if kind == "csv":
            return list(
                csv.DictReader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ",")
            )
        return yaml_value(text, unique=True)
    except TwiceError as error:
        raise EvaluationError(
            f"{path.name} is not a results file: {error}; correct the command"
        ) from None
    except (ValueError, csv.Error) as error:
        raise EvaluationError(f"{path.name} does not parse as {kind}: {str(error)[:200]}") from None


def _search(data: Any, expression: str | None, name: str) -> Any:
    if not expression:
        return None
    try:
        return jmespath.search(expression, data)
    except jmespath.exceptions.JMESPathError as error:
        raise WrongPlace(
            f"metrics: {expression!r} is not a JMESPath for {name}: {str(error).splitlines()[0]}"
        ) from None


def _from_text(value: Any) -> Any:
    """Return a text of a CSV file as a number if it is one."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
