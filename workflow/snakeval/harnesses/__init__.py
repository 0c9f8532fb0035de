"""Harness adapters: the command line of a harness, and how to read what it wrote.

An adapter is a module with these names; a new one is a module here and a line in
:data:`ADAPTERS`. Raise its ``PARSER_VERSION`` when it reads results better: tables are then made
again from the raw results, and nothing is evaluated again.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import EvaluationDirectory, Metric


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the harness finds things, in its own view.

    Attributes:
        results: the directory it writes to.
        inputs: read-only directory with :attr:`Command.inputs`.
        endpoint_url: the full URL of the model's route, as reachable from the harness.
        auxiliary: the same of each auxiliary model that the benchmark asks, by name.
    """

    results: str
    inputs: str
    endpoint_url: str
    auxiliary: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """What to start.

    Attributes:
        env: variables that anybody may see.
        secrets: variable inside -> variable of the caller that holds its value.
        inputs: names and texts of files for :attr:`Paths.inputs`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a benchmark, as a harness logged it. All texts are the model's or the data's.

    Attributes:
        id: the same for every model that was asked the same; several answers to one question
            have one id.
        task, filter: as in :class:`snakeval.evaluation.record.Metric`.
        scores: metric -> its score of this item; NaN where the harness could not score it.
        group: items of one group are not independent, as questions about one text; or empty.
    """

    id: str
    task: str
    scores: Mapping[str, float]
    filter: str = ""
    question: str = ""
    answer: str = ""
    reference: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a harness counted of its requests; None where it did not."""

    requests: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Adapter(Protocol):
    """The names that an adapter module has. ``CACHES``: patterns of artifacts to resume from."""

    PARSER_VERSION: int
    CACHES: tuple[str, ...]

    def command(self, evaluation: Evaluation, paths: Paths) -> Command:
        """Return the command line of *evaluation*."""

    def metrics(self, evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
        """Read the scores.

        Raises:
            EvaluationError: there are no results, or they cannot be read.
        """

    def samples(self, evaluation: Evaluation, artifacts: Path) -> Iterator[Sample]:
        """Read the samples one by one; none where the harness logged none.

        Raises:
            EvaluationError: while they are read: they cannot be.
        """

    def usage(self, artifacts: Path) -> Usage:
        """Read what the harness counted of its requests, as far as it is there."""


#: The harnesses that log items of data sets, by their names in the catalogue.
LOGS_ITEMS = ("lm-eval", "lm-evaluation-harness")
ADAPTERS = {
    "lm-eval": "snakeval.harnesses.lm_eval",
    "nemo": "snakeval.harnesses.nemo",
    "generic": "snakeval.harnesses.generic",
}


def adapter(name: str) -> Adapter:
    """Return the adapter *name*."""
    return cast(Adapter, importlib.import_module(ADAPTERS[name]))


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Return the command line of *evaluation*, with what it needs to ask auxiliary models.

    An auxiliary model ``judge`` is ``{{ auxiliary.judge.url }}`` (and base_url, model_id, type and
    api_key_name) in every text of ``params.extra``, and ``JUDGE_URL``, ``JUDGE_MODEL_ID`` and
    ``JUDGE_API_KEY`` in the environment.

    Raises:
        EvaluationError: the harness cannot evaluate this.
    """
    identity = evaluation.identity
    if identity.adapter != "nemo" and "adapter_config" in (identity.params.get("extra") or {}):
        raise EvaluationError(
            f"params.extra.adapter_config is of eval-factory harnesses, and {identity.harness} is "
            "none; take it out"
        )
    known = auxiliary_values(evaluation, paths)
    if known and identity.params.get("extra"):
        extra = _filled(identity.params["extra"], {"auxiliary": known})
        params = {**identity.params, "extra": extra}
        evaluation = replace(evaluation, identity=replace(identity, params=params))
    made = adapter(identity.adapter).command(evaluation, paths)
    env, secrets = dict(made.env), dict(made.secrets)
    for name, values in known.items():
        prefix = _variable(name)
        env |= {f"{prefix}_URL": values["url"], f"{prefix}_MODEL_ID": values["model_id"]}
        if values["api_key_name"]:
            secrets[values["api_key_name"]] = evaluation.transport.auxiliary_keys[name]
    return replace(made, env=env, secrets=secrets)


def auxiliary_values(evaluation: Evaluation, paths: Paths) -> dict[str, dict[str, str]]:
    """Return what a template may say of each auxiliary model."""
    return {
        name: {
            "url": paths.auxiliary[name],
            "base_url": base_url(paths.auxiliary[name]),
            "model_id": model["model_id"],
            "type": model["endpoint_type"],
            "api_key_name": f"{_variable(name)}_API_KEY"
            if name in evaluation.transport.auxiliary_keys
            else "",
        }
        for name, model in evaluation.identity.auxiliary.items()
    }


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        from snakeval.shell import fill  # jinja2, which few evaluations need

        return fill(value, known, "a text of params.extra")
    if isinstance(value, Mapping):
        return {key: _filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return value


def base_url(url: str) -> str:
    """Return *url* without its route: what the OpenAI clients call ``base_url``."""
    for route in ("/chat/completions", "/completions", "/embeddings"):
        if url.endswith(route):
            return url.removesuffix(route)
    return url


def parser_versions() -> dict[str, int]:
    """The version of each adapter's parser: a table is as good as these."""
    return {name: adapter(name).PARSER_VERSION for name in ADAPTERS}


def number(value: Any, what: str) -> float:
    """Return *value* as a finite float.

    Raises:
        EvaluationError: it is none; *what* names it in the message.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EvaluationError(f"{what} is {value!r}, not a number; see the harness's log")
    score = _float(value)
    if not math.isfinite(score):
        raise EvaluationError(f"{what} is {score}; the harness could not score the answers")
    return score


def optional_number(value: Any) -> float | None:
    """Return a finite number, or None for anything else (harnesses write ``"N/A"``)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return found if math.isfinite(found := _float(value)) else None


def optional_count(value: Any) -> int | None:
    """Return a number of samples, or None for anything else."""
    found = optional_number(value)
    return int(found) if found is not None and 0 <= found < 2**53 else None


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON and YAML know integers of any length
        return math.inf


def read_metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
    """Read an evaluation's scores with its adapter.

    Raises:
        EvaluationError: none are there, they do not parse, or one is not a finite number.
    """
    try:
        found = adapter(evaluation.identity.adapter).metrics(evaluation, artifacts)
    except OSError as error:
        raise EvaluationError(
            f"results cannot be read: {error.filename} ({error.strerror}); see the harness's log"
        ) from None
    except RecursionError:
        raise EvaluationError("results are nested too deeply; see the harness's log") from None
    if not found:
        raise EvaluationError("the harness wrote results without a single metric; see its log")
    return found


def read_samples(directory: EvaluationDirectory) -> Iterator[Sample]:
    """Read one by one what the harness logged of each item of a finished evaluation.

    There may be a million of them: keep what you need.

    Raises:
        EvaluationError: while they are read: the files are gone, or are not what they were.
    """
    try:
        evaluation = Evaluation.from_json(directory.spec.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{directory.spec} cannot be read ({error})") from None
    wanted = evaluation.transport.samples.get("group")
    number = grouped = 0
    try:
        for sample in adapter(evaluation.identity.adapter).samples(evaluation, directory.artifacts):
            number += 1
            grouped += bool(sample.group)
            yield sample
    except OSError as error:
        raise EvaluationError(
            f"samples cannot be read: {error.filename} ({error.strerror})"
        ) from None
    except RecursionError:
        raise EvaluationError("samples are nested too deeply") from None
    if wanted and number and not grouped:
        raise EvaluationError(f"no sample has anything at {wanted!r}; correct samples.group")


def finder(path: str) -> Callable[[Any], Any]:
    """Return what finds a JMESPath in an item. A plain key needs none, which takes a while."""
    if not re.fullmatch(r"[A-Za-z_]\w*", path, re.ASCII):
        import jmespath

        found: Callable[[Any], Any] = jmespath.compile(path).search
        return found
    return lambda item: item.get(path) if isinstance(item, dict) else None


def score(value: object) -> float | None:
    """Return an item's score: a number, NaN too, or a truth; None for anything else."""
    return _float(value) if isinstance(value, (bool, int, float)) else None


def text(value: object) -> str:
    """Return what people read of a part of a sample: a text as it is, and data as JSON.

    Half a surrogate, which JSON can name and UTF-8 cannot, becomes a question mark.
    """
    if value is None:
        return ""
    found = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return found if found.isascii() else found.encode("utf-8", "replace").decode()
