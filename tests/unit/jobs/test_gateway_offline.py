"""Evaluations whose answers come from the journals alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.demo.server import serve
from snakeval.jobs import failure, gateway
from snakeval.matrix.expand import expand
from support.asking import Asking
from support.configs import COMMAND, VALID, config

pytestmark = pytest.mark.usefixtures("in_this_process")
_RAISES = "with urllib.request.urlopen(request, timeout=60) as answer:"
_TOLERATES = """\
import contextlib
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:"""


def _tolerate(place: Path) -> None:
    """Let the harness continue without an answer that it does not get."""
    harness = place / "harness.py"
    text = harness.read_text()
    assert _RAISES in text
    harness.write_text(text.replace(_RAISES, _TOLERATES))


def test_a_missing_answer_fails_an_evaluation_whose_harness_ends_well(tmp_path: Path) -> None:
    with serve() as server:
        job = Asking(tmp_path, server.url, dies=2)
        _tolerate(tmp_path)
        job()
        job.lives()
        job.redefine(server.url, dies=2, offline=True)
        code, reason = job()
        assert code == 1
        assert reason.startswith(
            "offline, and the journal has no answer to 1 request: POST /v1/chat/"
        )
        job.redefine(server.url, dies=2)
        assert job() == (0, "")
        assert len(job.answers) == 3


def test_a_prompt_that_the_endpoint_refuses_gets_its_refusal_offline(tmp_path: Path) -> None:
    with serve(fail_status=400, fail_every=2) as server:
        job = Asking(tmp_path, server.url, count=3)
        _tolerate(tmp_path)
        assert job() == (0, "")
        assert len(job.answers) == 2
        job.count = 2  # another definition, which the same journal answers
        job.redefine(server.url, offline=True)
        assert job() == (0, "")
        assert (len(job.answers), server.stats()["requests"]) == (1, 3)


def test_the_endpoint_is_not_asked_why_a_harness_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def record(*of: object) -> str:
        asked.append("asked")
        return ""

    monkeypatch.setattr(failure, "endpoint_trouble", record)
    with serve() as server:
        job = Asking(tmp_path, server.url, dies=2)
        assert job()[0] == 1
        assert asked == ["asked"]
        job.redefine(server.url, dies=2, offline=True)
        assert job()[0] == 1
        assert asked == ["asked"]


def test_a_judge_may_be_asked_while_journals_answer_for_the_others(tmp_path: Path) -> None:
    judge = {"endpoint": {"url": "http://h/v1", "model_id": "j", "api_key_name": "JUDGE_KEY"}}
    rows = VALID | {"auxiliary": {"j": judge}, "benchmarks": {"b": COMMAND | {"auxiliary": ["j"]}}}
    (made,) = expand(config(tmp_path, rows))
    for online, offline in (((), {"m", "j"}), (("j",), {"m"})):
        transport = replace(made.transport, offline=True, online=online)
        found = gateway.upstreams(replace(made, transport=transport), {})
        assert {name for name, options in found.items() if options["offline"]} == offline
    assert not any(options["offline"] for options in gateway.upstreams(made, {}).values())


def test_a_harness_finds_a_token_in_place_of_a_key_that_nothing_needs(tmp_path: Path) -> None:
    model = {"endpoint": {"url": "http://h/v1", "model_id": "m", "api_key_name": "MY_KEY"}}
    rows = VALID | {"models": {"m": model}, "benchmarks": {"b": COMMAND | {"env": ["MY_KEY"]}}}
    (made,) = expand(config(tmp_path, rows))
    offline = replace(made, transport=replace(made.transport, offline=True))
    assert gateway.without_keys(offline, {"A": "1"}, "t") == ({"A": "1", "MY_KEY": "t"}, {})
    assert gateway.without_keys(made, {"A": "1"}, "t") == ({"A": "1"}, {})
