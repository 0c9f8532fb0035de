"""Finds the request behind a sample: its roles, its tokens, and how its answer ended.

Harnesses do not log which request a sample comes from. A request is that of a sample if its answer
is the same text and its prompt contains the question, or is a part of it. Samples whose answer the
harness changed have no request here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import LEDGER, Completion
from snakeval.evaluation.requests import answer_identity
from snakeval.harnesses.adapter import Sample
from snakeval.ledger.choices import choices_of
from snakeval.ledger.endings import without_reasoning
from snakeval.ledger.parts import parts_of
from snakeval.ledger.reading import Stored, used
from snakeval.ledger.summary import folder_of

#: The most answers of an evaluation that are read.
MAX_ANSWERS = 10_000
#: Characters at both ends of a question that find it, and how many samples with them are compared.
_END, _TRIED = 80, 64


@dataclass(frozen=True, slots=True)
class Reply:
    """The request of a sample and how its answer ended.

    Attributes:
        id: as ``snakeval requests`` lists it.
        messages: the role and the text of each message.
        prompt_tokens, completion_tokens: None if the endpoint counted none.
    """

    id: str
    messages: tuple[tuple[str, str], ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    is_cut: bool = False
    is_healthy: bool = True

    @property
    def marks(self) -> list[str]:
        """The problems of the answer, in words."""
        return ["cut"] * self.is_cut + ["unhealthy"] * (not self.is_healthy)


def of_samples(
    directory: EvaluationDirectory,
    done: Completion,
    samples: Sequence[Sample],
    limit: int = MAX_ANSWERS,
) -> list[Reply | None]:
    """Return the request of each of *samples*, or None; each request is that of one sample.

    It reads *limit* answers at most.
    """
    found: list[Reply | None] = [None] * len(samples)
    if LEDGER not in done.versions:
        return found
    waiting = _Waiting(samples)
    # A damaged journal costs the rest of the requests, and no report.
    with contextlib.suppress(OSError, ValueError):
        for one in islice(_stored(directory, done), min(limit, MAX_ANSWERS)):
            messages = _messages(one.request())
            for text in _texts(one):
                match = waiting.take(text, messages)
                if match is not None:
                    found[match] = _reply(one, messages)
                    break
    return found


def _stored(directory: EvaluationDirectory, done: Completion) -> Iterator[Stored]:
    """Yield the answers of the model of a result that its harness asked for."""
    identity = answer_identity(done.identity)
    folder = folder_of(directory.requests, done.model)
    if folder.is_dir():
        for key, occurrence, answer in used(folder, identity):
            if answer is not None:
                yield Stored(done.model, identity, key, occurrence, answer)


def _texts(one: Stored) -> Iterator[str]:
    """Yield the texts that a harness may log: whole and without reasoning, once each."""
    for choice in choices_of(parts_of(one.answer)):
        whole = choice.text
        yield from dict.fromkeys((whole.strip(), without_reasoning(whole)[0].strip()))


class _Waiting:
    """The samples without a request, by their answers and by both ends of their questions."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._questions = [sample.question.strip() for sample in samples]
        self._taken: set[int] = set()
        self._found: dict[tuple[str, str], list[int]] = {}
        for number, sample in enumerate(samples):
            question = self._questions[number]
            for end in {"", question[:_END], question[-_END:]} if question else ():
                self._found.setdefault((sample.answer.strip(), end), []).append(number)

    def take(self, answer: str, messages: Sequence[tuple[str, str]]) -> int | None:
        """Return the first sample with this answer whose question is that of the messages."""
        prompt = "\n".join(text for _, text in messages)
        last = messages[-1][1].strip() if messages else ""
        for end in dict.fromkeys((last[:_END], last[-_END:], "")):
            for number in self._first(answer, end):
                question = self._questions[number]
                if question in prompt or (last and last in question):
                    self._taken.add(number)
                    return number
        return None

    def _first(self, answer: str, end: str) -> list[int]:
        """Return the first samples that wait, so that many equal answers cost little time."""
        found = self._found.get((answer, end), [])
        while found and found[0] in self._taken:
            found.pop(0)
        return list(islice((each for each in found if each not in self._taken), _TRIED))


def _messages(request: Any) -> tuple[tuple[str, str], ...]:
    """Return the messages of a request, or its prompt as one of the user."""
    if not isinstance(request, dict):
        return ()
    messages = request.get("messages")
    if isinstance(messages, list):
        known = [each for each in messages if isinstance(each, dict)]
        return tuple((str(each.get("role") or ""), _text(each.get("content"))) for each in known)
    prompt = request.get("prompt", request.get("input"))
    return (("prompt", _text(prompt)),) if prompt is not None else ()


def _text(content: Any) -> str:
    """Return the text of a content, which may have parts."""
    if isinstance(content, list):
        return "\n".join(_text(part) for part in content)
    if isinstance(content, dict):
        text = content.get("text", content.get("content"))
        return f"[{content.get('type', 'part')}]" if text is None else _text(text)
    return "" if content is None else str(content)


def _reply(one: Stored, messages: tuple[tuple[str, str], ...]) -> Reply:
    tokens = one.answer.meta.get("tokens") or {}
    return Reply(
        one.id,
        messages,
        tokens.get("prompt"),
        tokens.get("completion"),
        one.is_cut,
        one.is_healthy,
    )
