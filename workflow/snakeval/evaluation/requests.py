"""The files of an evaluation's requests: the counts that its gateway writes, and their repair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from snakeval.evaluation.definition import Evaluation, digest
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import DAMAGE, make_way, make_way_for_file, read_json
from snakeval.ledger.summary import FILES, folder_of


@dataclass(frozen=True, slots=True)
class Counts:
    """The requests of one model in the last attempt, which cover the whole evaluation.

    Attributes:
        requests: requests of the harness.
        replayed: those that the journal answered.
        answered: those that received an answer, from the endpoint or the journal.
        failed: those that ended in an error.
        not_asked_again: answers of earlier attempts that the harness did not ask for again.
        prompt_tokens, completion_tokens: of all answers; None if no answer counts them.
        latency: the seconds until the first byte and the whole answer: median, p95 and p99.
        cached_tokens: the part of ``prompt_tokens`` that the endpoint had in its cache.
        uncounted: answers without a count of their tokens.
        free: ``answers``, ``uncounted`` and ``tokens`` of those for which another run paid.
    """

    requests: int = 0
    replayed: int = 0
    answered: int = 0
    failed: int = 0
    not_asked_again: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency: Mapping[str, Mapping[str, float]] | None = None
    cached_tokens: int | None = None
    uncounted: int = 0
    free: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Counts:
        """Build the counts from one part of a summary.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is damaged.
        """
        answers, tokens = data["answers"], data["tokens"]
        replayed = int(answers["journal"])
        return cls(
            int(data["requests"]),
            replayed,
            int(answers["asked"]) + replayed,
            int(data["failed"]),
            int(data["not_asked_again"]),
            tokens.get("prompt"),
            tokens.get("completion"),
            dict(data["latency"]),
            tokens.get("cached"),
            int(data.get("uncounted", 0)),
            dict(data.get("free") or {}),
        )

    @property
    def paid(self) -> Counts:
        """The counts without the answers for which another run paid."""
        if not self.free.get("answers"):
            return self
        free, tokens = self.free, self.free.get("tokens") or {}

        def less(counted: int | None, kind: str) -> int | None:
            return None if counted is None else counted - int(tokens.get(kind, 0))

        return replace(
            self,
            answered=self.answered - int(free["answers"]),
            uncounted=self.uncounted - int(free.get("uncounted", 0)),
            prompt_tokens=less(self.prompt_tokens, "prompt"),
            completion_tokens=less(self.completion_tokens, "completion"),
            cached_tokens=less(self.cached_tokens, "cached"),
            free={},
        )


def models_of(evaluation: Evaluation) -> dict[str, Mapping[str, Any]]:
    """Return what an evaluation defines of each model that it asks, by name."""
    identity = evaluation.identity
    model = {
        "model_id": identity.model_id,
        "endpoint_url": identity.endpoint_url,
        "deployment": identity.deployment,
        "request": identity.request,
    }
    return {evaluation.model: model, **identity.auxiliary}


def answer_identity(model: Mapping[str, Any]) -> str:
    """Return the digest of all that determines a model's answers to a request.

    The harness, its image, its task and its parameters are not in it: they make the requests.
    """
    parts = ("model_id", "endpoint_url", "deployment", "request")
    return digest({name: model[name] for name in parts if model.get(name)})


def read(directory: EvaluationDirectory) -> dict[str, Counts]:
    """Return the counts of each model that an evaluation asks; none without a sound summary."""
    try:
        return {name: Counts.of(part) for name, part in _summary(directory)["upstreams"].items()}
    except DAMAGE:
        return {}


def repair(directory: EvaluationDirectory, models: Iterable[str]) -> None:
    """Move aside what is no directory or no file in the place of one, so that a gateway starts.

    *models* are those that the evaluation asks.
    """
    place = directory.requests
    make_way(place)
    for name in FILES:
        make_way_for_file(place / name)
    for folder in (folder_of(place, model) for model in models):
        make_way(folder)
        for path in folder.glob("*.journal"):
            make_way_for_file(path)


def _summary(directory: EvaluationDirectory) -> dict[str, Any]:
    """Return the last gateway's summary; nothing if there is none that can be read."""
    try:
        return read_json(str(directory.requests / "summary.json")) or {}
    except (OSError, *DAMAGE):
        return {}


def summary_parts(directory: EvaluationDirectory) -> dict[str, dict[str, Any]]:
    """Return the last gateway's counts of each model, by name; none without a sound summary."""
    upstreams = _summary(directory).get("upstreams")
    parts = upstreams.items() if isinstance(upstreams, dict) else ()
    return {str(name): part for name, part in parts if isinstance(part, dict)}


def _parts(directory: EvaluationDirectory) -> list[dict[str, Any]]:
    return [*summary_parts(directory).values()]


def unanswered(directory: EvaluationDirectory, pid: int = 0) -> int | None:
    """Return how many requests had no sound answer; None without the last summary of *pid*."""
    if pid and _summary(directory).get("ended") != pid:
        return None
    return sum(int(part.get("unanswered", 0)) for part in _parts(directory))


def misses(directory: EvaluationDirectory) -> tuple[int, list[str]]:
    """Return how many requests the journals could not answer offline, and the first of them.

    Requests that only read, such as the list of models, do not count.
    """
    parts = _parts(directory)
    found = [str(text) for part in parts for text in part.get("misses") or ()]
    named = [text for text in found if text.startswith("POST ")]
    return max(sum(int(part.get("missed", 0)) for part in parts), len(named)), named


@dataclass(frozen=True, slots=True)
class Seen:
    """The record that the last gateway has of a model's requests.

    Attributes:
        requests: requests of the harness; *sound* of them had a sound answer.
        unanswered: requests that once had none.
        faults: as :class:`snakeval.ledger.faults.Fault` has them.
        refused_again: requests that the journal answered with a refusal of before.
    """

    model: str
    requests: int
    sound: int
    unanswered: int
    faults: tuple[dict[str, Any], ...]
    refused_again: int = 0


def faults_seen(directory: EvaluationDirectory) -> list[Seen]:
    """Return what went wrong with the requests of each model; none without a sound summary."""
    found = []
    try:
        for name, part in (_summary(directory).get("upstreams") or {}).items():
            counts, noted = Counts.of(part), part.get("faults") or ()
            lost, again = (int(part.get(n, 0)) for n in ("unanswered", "refused_again"))
            found.append(
                Seen(name, counts.requests, counts.answered - again, lost, tuple(noted), again)
            )
    except DAMAGE:
        return []
    return found


#: The causes of a pause that are no status, in words.
_CAUSES = {
    "limit": "the limit of the endpoint",
    "broken": "broken connections",
    "timeout": "no answer",
    "error": "errors",
}


def waiting(directory: EvaluationDirectory) -> str:
    """Return what the requests of an evaluation wait for, such as ``429, waiting 25 s, 40 times``.

    It is empty if none waits for its next try, or if no gateway lives.
    """
    summary = _summary(directory)
    if "ended" in summary:
        return ""
    found = []
    for part in _parts(directory):
        pause, causes = part.get("waiting"), part.get("causes")
        if not (isinstance(pause, dict) and pause and isinstance(causes, dict)):
            continue
        with suppress(*DAMAGE):
            cause, seconds = str(pause["cause"]), float(pause["seconds"])
            long = f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"
            text = f"{_CAUSES.get(cause, cause)}, waiting {long} s"
            times = causes.get(cause, 0)
            often = f", {'once' if times == 1 else f'{times} times'}"
            # The limit is not a failure that repeats.
            found.append(text if cause == "limit" else f"{text}{often}")
    return "; ".join(found)


def was_paused(directory: EvaluationDirectory) -> bool:
    """Whether the last gateway stood still for some time."""
    return bool(_summary(directory).get("paused"))


def used_up(directory: EvaluationDirectory) -> list[str]:
    """Return the kinds of the run's budget whose end was the end of the last gateway."""
    kinds = _summary(directory).get("used_up")
    return [str(kind) for kind in kinds] if isinstance(kinds, list) else []


def given_up_in_pause(directory: EvaluationDirectory) -> int:
    """Return how many requests the harness gave up while the last gateway stood still."""
    found = _summary(directory).get("given_up")
    return found if isinstance(found, int) else 0


def requests_seen(directory: EvaluationDirectory) -> tuple[int, bool]:
    """Return how many requests the last gateway received, and if the journal answered them all.

    Its answers include refusals, after which a request still counts as unanswered.
    """
    parts = _parts(directory)
    seen = sum(int(part.get("requests", 0)) + int(part.get("other_requests", 0)) for part in parts)
    told = [part.get("answers") or {} for part in parts]
    replayed, asked = (sum(int(each.get(n, 0)) for each in told) for n in ("journal", "asked"))
    refused = sum(int(part.get("refused_again", 0)) for part in parts)
    open_ones = (unanswered(directory) or 0) > refused
    return seen, bool(replayed) and not asked and not open_ones
