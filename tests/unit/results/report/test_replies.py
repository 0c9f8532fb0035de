"""The requests behind samples, which are found by their answers and questions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import LEDGER, Completion
from snakeval.evaluation.requests import answer_identity
from snakeval.harnesses.adapter import Sample
from snakeval.ledger.journal import Journal
from snakeval.ledger.records import Answer
from snakeval.ledger.slots import key_of
from snakeval.ledger.summary import folder_of
from snakeval.results import report
from snakeval.results.report.replies import of_samples
from support.sampled import Sampled

ROUTE = "/v1/chat/completions"


def answer(question: str, text: str, finish: str) -> tuple[bytes, Answer]:
    system = {"role": "system", "content": "Be short."}
    request = {"messages": [system, {"role": "user", "content": f"Q: {question}"}]}
    body = {"choices": [{"message": {"content": text}, "finish_reason": finish}]}
    meta: dict[str, Any] = {
        "status": 200, "reason": "OK", "headers": [["Content-Type", "application/json"]],
        "method": "POST", "path": ROUTE, "time": 1.0, "whole": 0.1, "finish": [finish],
        "tokens": {"prompt": 12, "completion": len(text)},
    }  # fmt: skip
    sent = json.dumps(request).encode()
    return key_of("POST", ROUTE, sent), Answer(meta, sent, json.dumps(body).encode())


def keep(directory: EvaluationDirectory, done: Completion, *found: tuple[str, str, str]) -> None:
    async def write() -> None:
        folder = folder_of(directory.requests, done.model)
        journal = Journal(folder, answer_identity(done.identity))
        for each in found:
            key, stored = answer(*each)
            await journal.append(key, 0, stored)
        journal.close()

    asyncio.run(write())


def sample(question: str, text: str) -> Sample:
    return Sample(question, "t", {"acc": 1.0}, question=question, answer=text)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sampled:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    items: Sequence[dict[str, Any]] = [
        {"question": "one?", "answer": "A", "acc": 1},
        {"question": "two?", "answer": "A", "acc": 0},
    ]
    return Sampled(tmp_path, {"m": {"b": items}})


@pytest.fixture
def done(run: Sampled) -> Completion:
    found = run["m/b"].completion(run.evaluations["m/b"].fingerprint)
    assert found is not None
    record = replace(found, versions={**found.versions, LEDGER: "on"})
    run["m/b"].complete(record)
    return record


def test_questions_distinguish_equal_answers(run: Sampled, done: Completion) -> None:
    keep(run["m/b"], done, ("two?", "A", "length"), ("one?", "A", "stop"))
    one, two = of_samples(run["m/b"], done, [sample("one?", "A"), sample("two?", "A")])
    assert one is not None
    assert two is not None
    assert (one.is_cut, two.is_cut) == (False, True)
    assert one.messages == (("system", "Be short."), ("user", "Q: one?"))
    assert (one.prompt_tokens, one.completion_tokens) == (12, 1)
    assert two.marks == ["cut"]


def test_a_changed_answer_and_another_question_have_no_request(
    run: Sampled, done: Completion
) -> None:
    keep(run["m/b"], done, ("one?", "The answer is A", "stop"), ("three?", "B", "stop"))
    assert of_samples(run["m/b"], done, [sample("one?", "A"), sample("two?", "B")]) == [None, None]


def test_reasoning_that_the_harness_removes_does_not_matter(run: Sampled, done: Completion) -> None:
    keep(run["m/b"], done, ("one?", "<think>Perhaps.</think>A", "stop"))
    (found,) = of_samples(run["m/b"], done, [sample("one?", "A")])
    assert found is not None


def test_without_a_journal_no_request_is_known(run: Sampled, done: Completion) -> None:
    assert of_samples(run["m/b"], done, [sample("one?", "A")]) == [None]


def test_the_page_has_the_health_of_samples_and_their_roles(run: Sampled, done: Completion) -> None:
    keep(run["m/b"], done, ("one?", "A", "stop"), ("two?", "A", "length"))
    report.write(run.directory)
    texts = [path.read_text() for path in (run.path / "report").glob("*.js")]
    assert sum('"health":["","c"]' in text for text in texts) == 1
    assert sum('["system","Be short."]' in text for text in texts) == 1


def test_the_answers_read_have_a_limit(run: Sampled, done: Completion) -> None:
    keep(run["m/b"], done, ("one?", "A", "stop"), ("two?", "A", "stop"))
    samples = [sample("one?", "A"), sample("two?", "A")]
    found = of_samples(run["m/b"], done, samples, limit=1)
    assert sum(each is not None for each in found) == 1
