"""A command that runs beside a gateway where no snakeval is."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger import around
from support.servers import JsonHandler, answering

KEY = "sk-canary-of-around"
#: Asks its questions, and says what it was given. It kills its gateway once after the second one.
_COMMAND = """
import json, os, pathlib, signal, sys, urllib.request
url, given, place, results = sys.argv[1:]
results = pathlib.Path(results)
earlier = [path.name for path in results.iterdir()]
answers = []
for number in range(4):
    if number == 2 and pathlib.Path(place, "kill").exists():
        pathlib.Path(place, "kill").unlink()
        (results / "half").touch()
        beat = json.loads(pathlib.Path(place, "requests", "gateway").read_text())
        os.kill(beat["pid"], signal.SIGKILL)
    headers = {"Authorization": "Bearer " + os.environ["API_KEY"]}
    body = json.dumps({"messages": [{"role": "user", "content": str(number)}]}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        answers.append(json.load(answer)["choices"][0]["message"]["content"])
told = [pathlib.Path(given).read_text(), os.environ["JUDGE_URL"], os.environ["API_KEY"]]
(results / "told").write_text(json.dumps([url, earlier, answers, *told]))
sys.exit(7)
"""
DRAFT = "http://127.0.0.1:1/gateway/m"


class Endpoint(JsonHandler):
    """Answers each request with the number of requests before it."""

    asked: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(self.headers["Authorization"])
        message = {"content": f"{body['messages'][0]['content']}: {len(self.asked)}"}
        self.reply(200, {"choices": [{"message": message, "finish_reason": "stop"}]})


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def config(tmp_path: Path, asked: list[str]) -> Iterator[dict[str, Any]]:
    for name in ("results", "drafts"):
        (tmp_path / name).mkdir()
    (tmp_path / "drafts/given").write_text(f"url: {DRAFT}/v1")
    with answering(Endpoint, asked=asked) as url:
        model = {"url": f"{url}/v1/chat/completions", "identity": "i", "key_from": "API_KEY"}
        yield {
            "directory": str(tmp_path / "requests"),
            "mode": "on",
            "grace": 5,
            "upstreams": {"m": {**model, "proxy": False}},
            "urls": {"m": DRAFT},
            "tokens": ["API_KEY"],
            "env": {"JUDGE_URL": f"{DRAFT}/v1"},
            "drafts": str(tmp_path / "drafts"),
            "files": str(tmp_path / "files"),
            "results": str(tmp_path / "results"),
        }


def words(place: Path) -> list[str]:
    """The command, as it is before the gateway has a port."""
    url = f"{DRAFT}/v1/chat/completions"
    given, results = place / "files/given", place / "results"
    return [sys.executable, "-c", _COMMAND, url, str(given), str(place), str(results)]


def wrapped(config: dict[str, Any], command: list[str]) -> around.Around:
    environ = {**os.environ, "API_KEY": KEY}
    return around.Around(config, command, environ, threading.Event())


def test_the_command_gets_the_gateways_url_and_a_token_everywhere(
    tmp_path: Path, config: dict[str, Any], asked: list[str]
) -> None:
    assert wrapped(config, words(tmp_path)).run() == 7
    url, _, answers, given, judge, token = json.loads((tmp_path / "results/told").read_text())
    assert answers == ["0: 1", "1: 2", "2: 3", "3: 4"]
    assert set(asked) == {f"Bearer {KEY}"}
    base = url.removesuffix("/chat/completions")
    assert (given, judge) == (f"url: {base}", base)
    assert len(token) == 32


def test_after_the_death_of_the_gateway_the_command_runs_again_with_the_stored_answers(
    tmp_path: Path,
    config: dict[str, Any],
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("API_KEY", KEY)
    (tmp_path / "kill").touch()
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert around.main([str(tmp_path / "config.json"), *words(tmp_path)]) == 7
    _, earlier, answers, *_ = json.loads((tmp_path / "results/told").read_text())
    assert (earlier, answers) == ([], ["0: 1", "1: 2", "2: 3", "3: 4"])
    assert len(asked) == 4
    assert "the gateway ended: exit code -9; its results do not count" in capfd.readouterr().err


def test_a_signal_ends_the_command(tmp_path: Path, config: dict[str, Any]) -> None:
    stop = threading.Event()
    command = [
        "sh",
        "-c",
        f"touch {tmp_path}/begun; trap 'exit 9' TERM; while :; do sleep 0.1; done",
    ]
    waiting = around.Around(config, command, os.environ, stop)

    def end() -> None:
        while not (tmp_path / "begun").exists():
            pass
        stop.set()

    ending = threading.Thread(target=end)
    ending.start()
    assert waiting.run() == 9
    ending.join()


def test_a_gateway_that_cannot_start_is_the_reason(
    tmp_path: Path, config: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    config["upstreams"]["m"] |= {"url": "https://localhost/v1", "cert": "/none.pem"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert around.main([str(tmp_path / "config.json"), "true"]) == 1
    assert "the ledger's gateway does not start" in capfd.readouterr().err
