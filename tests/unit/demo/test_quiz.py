"""The benchmark of one file, against the rule-based models."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval.demo.behaviour import Behaviour
from snakeval.demo.items import expected_score, generate
from snakeval.demo.quiz import main
from snakeval.demo.server import DemoServer


@pytest.fixture
def url() -> Iterator[str]:
    with DemoServer("127.0.0.1", 0, Behaviour()) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
        server.shutdown()


@pytest.mark.parametrize("model", ["careful", "sloppy"])
def test_it_finds_the_known_score_of_a_model(url: str, model: str, tmp_path: Path) -> None:
    words = ["letters", "--url", url, "--model-id", model, "--results", str(tmp_path)]
    assert main(words) == 0
    found = json.loads((tmp_path / "quiz.json").read_text())
    assert found == {"accuracy": expected_score(model, "letters"), "n": 40}
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [sample["question"] for sample in samples] == [i.question for i in generate("letters")]
    assert sum(sample["score"] for sample in samples) == 40 * found["accuracy"]


def test_a_limit_asks_the_first_questions(url: str, tmp_path: Path) -> None:
    words = ["sorting", "--url", url, "--model-id", "careful", "--results", str(tmp_path)]
    assert main([*words, "--limit", "3"]) == 0
    assert json.loads((tmp_path / "quiz.json").read_text())["n"] == 3
