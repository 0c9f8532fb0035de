"""The health of an evaluation: what its ledger saw of the answers behind the scores, as counts.

Health is data without a verdict. :mod:`snakeval.evaluation.verdict` judges it by the rules of a
configuration, so a changed rule requires no answer again. Unknown counts are None: the
provider, the harness or an earlier gateway does not report it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from snakeval.evaluation.plain import build_known

#: Raise it when health counts in another way: the health of finished evaluations is then read
#: again from their journals.
HEALTH_VERSION = 3


@dataclass(frozen=True, slots=True)
class Answers:
    """The counts of one model's answers.

    Attributes:
        asked: requests of the harness; *answered*: those that received a sound answer.
        given_up, error, truncated, html: requests that ended without one, by cause: a page, an
            answer that broke, an error with status 200, and all others.
        refused: requests that the endpoint or its filter refused; *filtered*: those of them that
            have an answer among the choices.
        choices: the texts in the answers; one answer can have several.
        cut, empty, reasoning_only: the choices that the token limit cut, that have no text, and
            that have reasoning and no text, also in tags such as ``<think>``.
        unended: the choices of which nothing says whether they were cut.
        form: the choices that harnesses misread: without index, as parts, or without logprobs; and
            the answers with fewer choices than the ``n`` of their request.
        items: questions with several answers of 40 tokens or more, at a temperature that is not 0.
        equal: those of them whose answers are all equal.
        asked_name: the ``model`` in the first request.
        names: the ``model`` in the answers -> how many answers have it.
        fingerprints: the ``system_fingerprint`` in the answers -> how many answers have it.
        seeds: questions with two requests of one seed that received equal and different answers.
        first_byte, whole: median and p95 in seconds, of the tries that succeeded.
        tokens: prompt, completion, reasoning and cached; those that the provider reports.
        seconds: the time in which at least one request was under way.
        retries: tries beyond the first one of each answer.
        causes: tries of the last gateway that did not succeed, by cause.
        waits: seconds waited, by cause.
        missing: answers that the harness received and the journal does not have.
        examples: rule -> the ids of some answers concerned; see ``snakeval requests``.
    """

    asked: int | None = None
    answered: int | None = None
    given_up: int | None = None
    error: int | None = None
    truncated: int | None = None
    html: int | None = None
    refused: int | None = None
    filtered: int | None = None
    choices: int | None = None
    cut: int | None = None
    unended: int | None = None
    empty: int | None = None
    reasoning_only: int | None = None
    form: int | None = None
    items: int | None = None
    equal: int | None = None
    asked_name: str = ""
    names: Mapping[str, int] = field(default_factory=dict)
    fingerprints: Mapping[str, int] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    first_byte: Mapping[str, float] | None = None
    whole: Mapping[str, float] | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    retries: int | None = None
    causes: Mapping[str, int] | None = None
    waits: Mapping[str, float] = field(default_factory=dict)
    missing: int | None = None
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def requests_per_second(self) -> float | None:
        """Answers in a second while requests were under way; None if unknown."""
        return self.answered / self.seconds if self.seconds and self.answered else None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens out in a second while requests were under way; None if unknown."""
        out = self.tokens.get("completion")
        return out / self.seconds if self.seconds and out else None


@dataclass(frozen=True, slots=True)
class Health:
    """The health of an evaluation.

    Attributes:
        models: the answers of each model that it asks, by name; none if *unknown* says why.
        samples: the samples in which the harness can find an answer or not; None if unknown.
        unparsed: those in which none of its filters found one.
        unknown: why nothing is known of the answers, or an empty text.
    """

    models: Mapping[str, Answers] = field(default_factory=dict)
    samples: int | None = None
    unparsed: int | None = None
    unknown: str = ""
    version: int = HEALTH_VERSION

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data without what is unknown or empty."""
        data = asdict(self)
        data["models"] = {name: _known(each) for name, each in data["models"].items()}
        return _known(data)

    @classmethod
    def from_dict(cls, data: object) -> Health:
        """Build it from plain data; other versions may have other fields.

        Raises:
            ValueError: it is damaged.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("models", {}), Mapping):
            raise ValueError("no health")
        models = {}
        for name, each in data.get("models", {}).items():
            if not isinstance(each, Mapping):
                raise ValueError("no health of a model")
            models[name] = build_known(Answers, each)
        return build_known(cls, {**data, "models": models})

    @classmethod
    def read(cls, data: object) -> Health:
        """Return the health in a record; one that is missing or damaged is unknown."""
        if not data:
            return cls(unknown="an earlier snakeval counted no health")
        try:
            return cls.from_dict(data)
        except ValueError as error:
            return cls(unknown=f"its health is damaged ({error})")


def _known(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value not in (None, {}, (), "")}
