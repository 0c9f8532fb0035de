"""Runs without a fault, which no rule of answer health may flag: easy items above all.

A run is a gateway in process, whose harness asks some items K times. The seed chooses the
temperature, whether one request asks for all K texts, whether a stream answers, the lengths, and
how many items are easy: a model gives the same short text to all K requests for an easy item, and
the same long one for at most half of the items.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.health_reading import read_health
from snakeval.evaluation.verdict import Verdict, judge
from support import ledger

ITEMS, SAMPLES = 8, 4


class Clean:
    """One run: what its harness asks, and what the model answers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        draw = self.random
        self.temperature = draw.choice([0, 0, 0.7, 1, 1, None])
        self.is_one_request = draw.random() < 0.25
        self.streams = not self.is_one_request and draw.random() < 0.3
        self.has_usage = draw.random() < 0.8
        self.is_seeded = draw.random() < 0.5
        self.name = draw.choice(["m", "m", "m-2026-11-01"])
        self.easy = set(draw.sample(range(ITEMS), draw.randint(ITEMS // 4, ITEMS)))
        # The rule warns if more than half of the items with long answers have equal ones.
        self.sure = set(draw.sample(range(ITEMS), draw.randint(0, ITEMS // 2)))
        self.has_long = draw.random() < 0.6
        self.number = 0

    def text(self, item: int) -> str:
        """Return an answer to an item."""
        self.number += 1
        is_long = self.has_long or self.random.random() < 0.2
        is_fixed = self.temperature == 0 or item in self.sure
        if self.has_long and is_fixed:
            return f"For item {item} we add one, and so " * 12
        if item in self.easy and not self.has_long:
            return str(item + 1)
        if self.temperature == 0:
            return f"The answer is {item + 1}."
        return f"By way {self.number}, it is {item + 1}. " * (20 if is_long else 1)

    def request(self, item: int) -> dict[str, Any]:
        """Return a request of the harness."""
        message = {"role": "user", "content": f"What is item {item}?"}
        found: dict[str, Any] = {"model": "m", "messages": [message], "max_tokens": 512}
        if self.temperature is not None:
            found["temperature"] = self.temperature
        if self.is_seeded:
            found["seed"] = 7
        if self.is_one_request:
            found["n"] = SAMPLES
        return found | ({"stream": True} if self.streams else {})

    def answer(self, asked: dict[str, Any]) -> bytes:
        """Return the model's answer to a request."""
        item = int(asked["messages"][0]["content"].split()[-1][:-1])
        texts = [self.text(item) for _ in range(asked.get("n", 1))]
        said: dict[str, Any] = {"object": "chat.completion", "model": self.name}
        if self.has_usage:
            tokens = sum(len(text.split()) for text in texts)
            said["usage"] = {"prompt_tokens": 8, "completion_tokens": tokens}
        member = "delta" if self.streams else "message"
        said["choices"] = [
            {"index": n, member: {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for n, text in enumerate(texts)
        ]
        if not self.streams:
            return ledger.answer(said, "200 OK", "Connection: close")
        body = f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n".encode()
        kind = ["Content-Type: text/event-stream", "Connection: close"]
        return ledger.raw("200 OK", [*kind, f"Content-Length: {len(body)}"], body)

    async def ask(self, directory: EvaluationDirectory) -> None:
        """Ask all items, and leave the journal and the summary in the directory."""

        async def script(asked: ledger.Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(self.answer(asked.data))

        times = 1 if self.is_one_request else SAMPLES
        async with ledger.bed(directory.requests, script) as bed:
            for item in range(ITEMS):
                found = await asyncio.gather(*(bed.post(self.request(item)) for _ in range(times)))
                assert all(each.status == 200 for each in found)
            summary = bed.gateway.data()
        (directory.requests / "summary.json").write_text(json.dumps(summary))


def verdict(seed: int) -> Verdict:
    """Return what the rules find in one run."""
    run = Clean(seed)
    with tempfile.TemporaryDirectory() as place:
        directory = EvaluationDirectory(Path(place) / "run/m/b")
        directory.requests.mkdir(parents=True)
        asyncio.run(run.ask(directory))
        health = read_health(directory)
    answered = health.models["model"].answered
    assert answered == ITEMS * (1 if run.is_one_request else SAMPLES), answered
    return judge(health, {}, {})


def judge_clean_runs(count: int) -> dict[str, Any]:
    """Judge runs; return a line with the seeds that a rule flagged."""
    began = time.monotonic()
    found = {str(seed): verdict(seed).cell for seed in range(count)}
    flagged = {seed: cell for seed, cell in found.items() if cell != "ok"}
    seconds = round(time.monotonic() - began, 1)
    return {"clean": count, "flagged": flagged, "seconds": seconds}
