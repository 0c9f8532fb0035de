"""``snakeval requests``: lists, filters, shows and exports what an evaluation asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.cli.requests import _text
from snakeval.ledger.counts import Counts
from snakeval.ledger.journal import Journal
from snakeval.ledger.records import Answer
from support.made import Made, snakeval


def keep(directory: Path, *texts: str) -> None:
    async def write() -> None:
        journal = Journal(directory, "identity")
        for number, text in enumerate(texts):
            body = {"choices": [{"message": {"content": text}}]}
            meta: dict[str, Any] = {
                "status": 200, "reason": "OK", "headers": [], "method": "POST", "time": 1.0,
                "path": "/v1/chat/completions", "whole": float(number), "empty": int(not text),
                "finish": ["stop" if text else "length"], "tokens": {"completion": number},
            }  # fmt: skip
            key = bytes([number]) * 16
            answer = Answer(meta, b'{"n": %d}' % number, json.dumps(body).encode())
            await journal.append(key, 0, answer)
        journal.close()

    asyncio.run(write())


@pytest.fixture
def which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "b")
    keep(run["b"].requests / "m", "the first", "", "the third")
    return f"{run.path}/m/b"


def test_requests_are_listed(which: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = snakeval(capsys, "requests", which)
    assert said.out.splitlines()[0].split() == [
        "id", "model", "time", "route", "status", "finish", "tokens", "seconds", "answer",
    ]  # fmt: skip
    assert "000000000000" in said.out
    assert "the first" in said.out
    assert len(said.out.splitlines()) == 4


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--empty"], ["010101010101"]),
        (["--finish", "stop"], ["000000000000", "020202020202"]),
        (["--slow", "1.5"], ["020202020202"]),
        (["--status", "500"], []),
    ],
)
def test_requests_are_filtered(
    which: str, capsys: pytest.CaptureFixture[str], options: list[str], found: list[str]
) -> None:
    said = snakeval(capsys, "requests", which, "--jsonl", *options)
    assert [json.loads(line)["id"] for line in said.out.splitlines()] == found


def test_a_run_lists_the_evaluations_of_which_one_is_meant(
    which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = snakeval(capsys, "requests", which.removesuffix("/m/b"))
    assert said.exit_code == 2
    run = "0123abcd"
    assert said.err == (
        f"snakeval: {run}: choose one evaluation; write `snakeval requests {run}/m/b`, or another "
        "of its evaluations (it has m/b)\n"
    )


@pytest.mark.parametrize("options", [[], ["--jsonl"], ["0202"]])
def test_an_evaluation_without_a_request_is_an_error_with_its_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    run = Made(tmp_path, "b")
    said = snakeval(capsys, "requests", f"{run.path}/m/b", *options)
    assert (said.exit_code, said.out) == (2, "")
    assert said.err.endswith("/m/b: has no stored requests: it is pending\n")


def test_a_request_has_its_answer(which: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(snakeval(capsys, "requests", which, "0202").out)
    assert shown["request"] == {"n": 2}
    assert shown["response"]["choices"][0]["message"]["content"] == "the third"
    assert "no request 'ffff'" in snakeval(capsys, "requests", which, "ffff").err


def test_a_longer_list_says_how_many_more_there_are(
    which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = snakeval(capsys, "requests", which, "-n", "1")
    assert len(said.out.splitlines()) == 2
    assert "and 2 more; -n 0 lists all" in said.err


def test_the_counts_of_a_finished_evaluation_have_its_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Made(tmp_path, "b")
    place = run.judged("b", seconds=30.0, tokens={"completion": 15000})
    place.requests.mkdir(exist_ok=True)
    part = Counts().data(0)
    (place.requests / "summary.json").write_text(json.dumps({"upstreams": {"m": part}}))
    said = snakeval(capsys, "requests", f"{run.path}/m/b")
    assert said.err.startswith("m: 0 requests, 0 from the journal, ")
    assert ", 2 requests/s, 500 tokens/s\n" in said.err
    run.begun("b")
    assert "requests/s" not in snakeval(capsys, "requests", f"{run.path}/m/b").err


@pytest.mark.parametrize("text", ["\ud800", "a\u202eb\x9b2J", "é 🐍"])
def test_an_export_is_json_without_hidden_characters(
    which: str, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    keep(Path(which) / "requests/m", text)
    for options in (["--jsonl"], ["000000000000"]):
        said = snakeval(capsys, "requests", which, *options).out
        said.encode()
        assert not {"\u202e", "\x9b"} & set(said)
        found = [
            json.loads(line)["response"]["choices"]
            for line in (said.rstrip().split("\n") if "--jsonl" in options else [said])
        ]
        assert [{"message": {"content": text}}] in found


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"choices": ["odd"]}', '{"choices": ["odd"]}'),
        (b'{"choices": [{"message": "odd"}]}', '{"choices": [{"message": "odd"}]}'),
        (b'{"choices": {"odd": 1}}', '{"choices": {"odd": 1}}'),
    ],
)
def test_an_answer_of_another_form_is_listed_whole(body: bytes, text: str) -> None:
    assert _text(json.loads(body)) == text
