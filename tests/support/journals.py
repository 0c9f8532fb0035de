"""Journals of requests and answers as a gateway writes them, and their summaries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.ledger.answers import facts
from snakeval.ledger.journal import Journal
from snakeval.ledger.records import Answer
from snakeval.ledger.slots import key_of
from support.ledger import CHAT

JSON = [["Content-Type", "application/json"]]
#: A text of more than 40 tokens.
LONG = "word " * 60


def said(text: Any = "yes", finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return a chat completion; *more* are members of it, or of its message or choice."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": finish, **more.pop("choice", {})}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    return {"model": "m-1", "choices": [choice], "usage": usage, **more}


@dataclass
class Kept:
    """One answer for a journal: the question's number, the answer, and what differs from usual."""

    question: int
    answer: dict[str, Any] = field(default_factory=said)
    occurrence: int = 0
    request: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""

    @property
    def requested(self) -> bytes:
        content = [{"role": "user", "content": f"question {self.question}"}]
        return json.dumps({"model": "m-1", "messages": content, **self.request}).encode()

    @property
    def whole(self) -> Answer:
        known = {
            "status": 200, "reason": "OK", "headers": JSON, "method": "POST", "path": CHAT,
            "time": 1000.0 + self.question, "first": 0.2, "whole": 0.5, "tries": 1, "waits": {},
        }  # fmt: skip
        about = {} if self.body else facts([self.answer], self.requested).data()
        body = self.body or json.dumps(self.answer).encode()
        return Answer({**known, **about, **self.meta}, self.requested, body)


def keep(directory: EvaluationDirectory, answers: Iterable[Kept], model: str = "m") -> None:
    """Write a journal of one model, and a summary in which the harness received each answer."""
    kept = [*answers]

    async def write() -> None:
        journal = Journal(directory.requests / model, "identity")
        for each in kept:
            key = key_of("POST", each.whole.meta["path"], each.requested)
            await journal.append(key, each.occurrence, each.whole)
        journal.close()

    asyncio.run(write())
    summarize(directory, model, len(kept))


def summarize(directory: EvaluationDirectory, model: str, answered: int, **more: Any) -> None:
    """Write a summary of one model; *more* are members of its part."""
    part = {
        "requests": answered,
        "other_requests": 0,
        "answers": {"asked": answered, "journal": 0},
        "identity": "identity",
        "lost": {},
        "causes": {},
        **more,
    }
    path = directory.requests / "summary.json"
    data = json.loads(path.read_text()) if path.exists() else {"upstreams": {}}
    data["upstreams"][model] = part
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def place(directory: Path) -> EvaluationDirectory:
    """Return an empty directory of an evaluation."""
    found = EvaluationDirectory(directory / "run/m/b")
    found.path.mkdir(parents=True)
    return found
