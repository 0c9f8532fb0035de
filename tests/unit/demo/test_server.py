"""Tests the demo server: OpenAI's API, failures on command and counts of requests.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from snakeval.demo import items
from snakeval.demo.behaviour import Behaviour
from snakeval.demo.ledger import digest, read_ledger
from snakeval.demo.server import DemoServer, serve
from support.limits import HUNG

SOURCES = Path(__file__).parents[3] / "workflow"
SUM = "What is 37 + 58? Answer with the number only."


def call(url: str, body: object = None, key: str | None = None) -> tuple[int, Any]:
    """Send a GET, or a POST if there is a body; return the status and the JSON of the answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(url, data, {"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urlopen(request, timeout=HUNG) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def chat(server: DemoServer, text: str = SUM, model: str = "careful", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    body = {"model": model, "messages": messages, **more}
    return call(f"{server.url}/v1/chat/completions", body)


def statuses(server: DemoServer, count: int) -> list[int]:
    return [chat(server, f"What is {number} + 1?")[0] for number in range(count)]


class TestAnswers:
    """Answers to valid requests."""

    def test_chat(self) -> None:
        with serve() as server:
            status, answer = chat(server)
        assert status == 200
        assert answer["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "95"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ]
        assert answer["usage"] == {
            "prompt_tokens": 10,
            "completion_tokens": 1,
            "total_tokens": 11,
        }

    def test_chat_content_may_come_in_parts(self) -> None:
        parts = [{"type": "text", "text": "Please."}, {"type": "text", "text": SUM}]
        with serve() as server:
            body = {"model": "careful", "messages": [{"role": "user", "content": parts}]}
            _, answer = call(f"{server.url}/v1/chat/completions", body)
        assert answer["choices"][0]["message"]["content"] == "95"

    def test_completions_take_one_prompt_or_many(self) -> None:
        prompts = ["Question: What is 2 * 3?\nAnswer:", "What is 2 + 3?"]
        with serve() as server:
            url = f"{server.url}/v1/completions"
            _, one = call(url, {"model": "careful", "prompt": prompts[0]})
            _, many = call(url, {"model": "careful", "prompt": prompts})
        assert [choice["text"] for choice in one["choices"]] == ["6"]
        assert [(choice["index"], choice["text"]) for choice in many["choices"]] == [
            (0, "6"),
            (1, "5"),
        ]

    def test_answers_end_at_the_requests_limit_or_stop_word(self) -> None:
        question = "Sort these words alphabetically: plum, pear, fig."
        with serve() as server:
            _, short = chat(server, question, max_tokens=2)
            _, stopped = chat(server, question, stop=[", p"])
        assert short["choices"][0]["message"]["content"] == "fig, pear, "
        assert short["choices"][0]["finish_reason"] == "length"
        assert stopped["choices"][0]["message"]["content"] == "fig"

    def test_embeddings_are_unit_vectors_that_depend_on_the_text(self) -> None:
        with serve() as server:
            body = {"model": "careful", "input": ["fig", "pear", "fig"]}
            _, answer = call(f"{server.url}/v1/embeddings", body)
        fig, pear, again = (entry["embedding"] for entry in answer["data"])
        assert fig == again != pear
        assert sum(value**2 for value in fig) == pytest.approx(1)

    def test_scores_are_the_expected_ones(self) -> None:
        with serve() as server:
            for model in ("careful", "sloppy"):
                for benchmark in items.benchmarks():
                    right = [
                        chat(server, item.question, model)[1]["choices"][0]["message"]["content"]
                        == item.answer
                        for item in items.generate(benchmark)
                    ]
                    assert sum(right) / len(right) == items.expected_score(model, benchmark)

    def test_health_and_models(self) -> None:
        with serve(models=["sloppy"]) as server:
            assert call(f"{server.url}/health") == (200, {"status": "ok"})
            _, models = call(f"{server.url}/v1/models")
        assert [model["id"] for model in models["data"]] == ["sloppy"]


class TestRefusals:
    """Invalid requests get an error in OpenAI's shape."""

    def test_unknown_model(self) -> None:
        with serve(models=["careful"]) as server:
            status, answer = chat(server, model="sloppy")
        assert status == 404
        assert answer["error"]["code"] == "model_not_found"
        assert answer["error"]["message"] == "The model 'sloppy' does not exist."

    @pytest.mark.parametrize(
        "body",
        [
            b"{not json",
            b"",
            b"[]",
            {},
            {"model": "careful"},
            {"model": "careful", "messages": []},
            {"model": "careful", "messages": [{"role": "user"}]},
            {"model": "careful", "messages": [{"content": SUM}], "stream": True},
            {"model": "careful", "messages": [{"content": SUM}], "n": 2},
            {"model": "careful", "messages": [{"content": SUM}], "max_tokens": "many"},
        ],
    )
    def test_malformed_requests(self, body: object) -> None:
        with serve() as server:
            status, answer = call(f"{server.url}/v1/chat/completions", body)
            assert status == 400
            assert answer["error"]["type"] == "invalid_request_error"
            assert server.stats()["rejected"] == 1

    def test_tokens_for_a_prompt(self) -> None:
        with serve() as server:
            body = {"model": "careful", "prompt": [1, 2, 3]}
            assert call(f"{server.url}/v1/completions", body)[0] == 400

    @pytest.mark.parametrize("body", [None, {}], ids=["get", "post"])
    def test_unknown_path(self, body: object) -> None:
        with serve() as server:
            assert call(f"{server.url}/v2/anything", body)[0] == 404

    def test_a_model_may_have_an_organisation(self) -> None:
        with serve(models=["demo/careful"]) as server:
            assert chat(server, model="demo/careful")[1]["model"] == "demo/careful"
            assert chat(server, model="careful")[0] == 404

    def test_a_model_without_rules_is_not_served(self) -> None:
        with pytest.raises(ValueError, match="models must be among careful, sloppy, not gpt"):
            Behaviour(models=("careful", "gpt"))


class TestKey:
    """If the server has a key, clients must send it."""

    @pytest.mark.parametrize(("key", "status"), [("s3cret", 200), ("wrong", 401), (None, 401)])
    def test_models(self, key: str | None, status: int) -> None:
        with serve(api_key="s3cret") as server:
            assert call(f"{server.url}/v1/models", key=key)[0] == status
            body = {"model": "careful", "prompt": SUM}
            assert call(f"{server.url}/v1/completions", body, key)[0] == status

    def test_health_and_stats_require_no_key(self) -> None:
        with serve(api_key="s3cret") as server:
            assert call(f"{server.url}/health")[0] == 200
            assert call(f"{server.url}/stats")[0] == 200

    def test_repr_hides_the_key(self) -> None:
        assert "s3cret" not in repr(Behaviour(api_key="s3cret"))


class TestMisbehaviour:
    """Failures on purpose."""

    def test_fail_first(self) -> None:
        with serve(fail_status=503, fail_first=2) as server:
            assert statuses(server, 4) == [503, 503, 200, 200]

    def test_fail_every(self) -> None:
        with serve(fail_status=429, fail_every=3) as server:
            assert statuses(server, 7) == [200, 200, 429, 200, 200, 429, 200]

    def test_fail_while(self, tmp_path: Path) -> None:
        trouble = tmp_path / "trouble"
        with serve(fail_while=trouble) as server:
            trouble.touch()
            assert statuses(server, 2) == [500, 500]
            trouble.unlink()
            assert statuses(server, 2) == [200, 200]

    def test_only_model_requests_fail(self) -> None:
        with serve(fail_first=1) as server:
            assert call(f"{server.url}/health")[0] == 200
            assert call(f"{server.url}/v1/models")[0] == 200
            assert statuses(server, 1) == [500]

    def test_requests_are_delayed_side_by_side(self, monkeypatch: pytest.MonkeyPatch) -> None:
        all_wait = threading.Barrier(8, timeout=HUNG)
        delayed: list[float] = []

        def sleep(seconds: float) -> None:
            delayed.append(seconds)
            all_wait.wait()

        clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
        monkeypatch.setattr("snakeval.demo.server.time", clock)
        with serve(delay=1.5) as server, ThreadPoolExecutor(8) as pool:
            assert {status for status, _ in pool.map(lambda _: chat(server), range(8))} == {200}
        assert delayed == [1.5] * 8

    def test_death_breaks_all_connections(self) -> None:
        with serve(die_after=2) as server:
            open_connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
            open_connection.request("GET", "/health")
            assert json.load(open_connection.getresponse()) == {"status": "ok"}

            assert statuses(server, 2) == [200, 200]
            with pytest.raises(ConnectionError):
                chat(server)
            open_connection.request("GET", "/health")
            with pytest.raises(http.client.RemoteDisconnected):
                open_connection.getresponse()
            assert server.stats()["answered"] == 2


class TestStats:
    """The counts of requests."""

    def test_counts_distinguish_repetitions_from_retries(self) -> None:
        with serve(fail_first=1) as server:
            chat(server, "What is 1 + 1?")  # fails
            chat(server, "What is 1 + 1?")  # its retry
            chat(server, "What is 1 + 1?")  # a repetition
            chat(server, "What is 1 + 1?", model="sloppy")  # new to this model
            chat(server, "What is 1 + 1?", model="absent")
            assert call(f"{server.url}/stats") == (
                200,
                {
                    "requests": 5,
                    "answered": 3,
                    "failed": 1,
                    "rejected": 1,
                    "abandoned": 0,
                    "models": {"careful": 2, "sloppy": 1},
                    "distinct": 2,
                    "repeated": 1,
                },
            )

    def test_a_check_before_a_run_is_answered_as_the_next_request_and_not_counted(self) -> None:
        content = {"model": "careful", "messages": [{"role": "user", "content": "Hi"}]}
        headers = {"User-Agent": "snakeval-preflight/1", "Content-Type": "application/json"}
        with serve(fail_first=1, fail_status=429, die_after=1) as server:
            url = f"{server.url}/v1/chat/completions"
            check = Request(url, json.dumps(content).encode(), headers)
            with pytest.raises(HTTPError, match="429"):
                urlopen(check, timeout=HUNG)
            assert server.stats()["requests"] == 0
            chat(server, "What is 1 + 1?")  # fails
            with urlopen(check, timeout=HUNG) as answer:
                assert answer.status == 200
            assert (server.stats()["requests"], server.stats()["answered"]) == (1, 0)

    def test_an_answer_does_not_count_after_its_client_hung_up(self) -> None:
        with serve(delay=1.0) as server:
            impatient = http.client.HTTPConnection("127.0.0.1", server.server_port)
            impatient.request("POST", "/v1/completions", body=b"{}")
            impatient.close()
            chat(server)
            # Both requests wait equally long, and any of them may end first.
            deadline = time.monotonic() + HUNG
            while not (stats := server.stats())["abandoned"] and time.monotonic() < deadline:
                time.sleep(0.01)
        assert (stats["requests"], stats["answered"], stats["abandoned"]) == (2, 1, 1)

    def test_each_prompt_of_a_batch_counts(self) -> None:
        with serve() as server:
            body = {"model": "careful", "prompt": ["a", "b", "a"]}
            call(f"{server.url}/v1/completions", body)
            stats = server.stats()
        assert (stats["requests"], stats["distinct"], stats["repeated"]) == (1, 2, 1)

    def test_no_request_is_lost_under_load(self) -> None:
        with serve() as server, ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: chat(server, f"What is {number} + 1?"), range(200)))
            stats = server.stats()
        assert (stats["answered"], stats["distinct"], stats["repeated"]) == (200, 200, 0)

    def test_reset(self) -> None:
        with serve(fail_first=1) as server:
            assert statuses(server, 2) == [500, 200]
            _, stats = call(f"{server.url}/stats/reset", {})
            assert (stats["requests"], stats["distinct"]) == (0, 0)
            assert statuses(server, 2) == [500, 200]


class TestLoading:
    """A server that is still loading."""

    def test_has_no_models_yet(self) -> None:
        with serve(load=60) as server:
            status, answer = call(f"{server.url}/health")
            assert (status, answer["error"]["code"]) == (503, "loading")
            assert call(f"{server.url}/v1/models") == (200, {"object": "list", "data": []})
            assert chat(server) == (503, answer)
            stats = server.stats()
        assert (stats["requests"], stats["rejected"], stats["answered"]) == (1, 1, 0)

    def test_rejects_an_early_request_at_once(self) -> None:
        with serve(load=60, delay=60) as server:
            assert chat(server)[0] == 503

    def test_requires_the_key_while_it_loads(self) -> None:
        with serve(load=60, api_key="s3cret") as server:
            assert call(f"{server.url}/v1/models")[0] == 401

    def test_ends(self) -> None:
        start = time.monotonic()
        with serve(load=0.2) as server:
            while call(f"{server.url}/health")[0] == 503:
                time.sleep(0.01)
            assert time.monotonic() - start >= 0.2
            _, models = call(f"{server.url}/v1/models")
            assert [model["id"] for model in models["data"]] == ["careful", "sloppy"]
            assert chat(server)[0] == 200


class TestLedger:
    """The file that keeps loads and answers when the server restarts."""

    def test_has_each_prompt_before_the_client_has_its_answer(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        with serve(fail_first=1, ledger=path) as server:
            assert statuses(server, 1) == [500]
            chat(server, model="absent")
            assert not read_ledger(path).answers
            call(f"{server.url}/v1/completions", {"model": "careful", "prompt": ["a", "b", "a"]})
            assert read_ledger(path) == (
                {"careful": 1, "sloppy": 1},
                {
                    ("careful", digest("careful", "a")): 2,
                    ("careful", digest("careful", "b")): 1,
                },
            )

    def test_a_reset_keeps_the_file(self, tmp_path: Path) -> None:
        with serve(ledger=tmp_path / "ledger") as server:
            statuses(server, 1)
            call(f"{server.url}/stats/reset", {})
            statuses(server, 1)
        loads, answers = read_ledger(tmp_path / "ledger")
        assert (loads["careful"], list(answers.values())) == (1, [2])

    def test_the_server_closes_the_file(self, tmp_path: Path) -> None:
        with serve(ledger=tmp_path / "ledger") as server:
            pass
        server.ledger.answer(1, "careful", ["a"])
        assert not read_ledger(tmp_path / "ledger").answers

    def test_a_loading_model_counts_as_a_load(self, tmp_path: Path) -> None:
        with serve(models=["careful"], load=60, ledger=tmp_path / "ledger") as server:
            chat(server)
        assert read_ledger(tmp_path / "ledger") == ({"careful": 1}, {})

    def test_a_server_that_cannot_listen_counts_no_load(self, tmp_path: Path) -> None:
        behaviour = Behaviour(ledger=tmp_path / "ledger")
        with serve() as server, pytest.raises(OSError, match="in use"):
            DemoServer("127.0.0.1", server.server_port, behaviour)
        assert not read_ledger(tmp_path / "ledger").loads

    def test_a_request_that_crashes_the_server_does_not_count(self, tmp_path: Path) -> None:
        with serve(die_after=1, ledger=tmp_path / "ledger") as server:
            chat(server)
            with pytest.raises(ConnectionError):
                chat(server)
        assert read_ledger(tmp_path / "ledger").answers.total() == 1

    def test_servers_share_it_under_load(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        with (
            serve(models=["a/careful"], ledger=path) as one,
            serve(models=["b/careful"], ledger=path) as other,
            ThreadPoolExecutor(16) as pool,
        ):
            for number in range(50):
                pool.submit(chat, one, f"{number}", "a/careful")
                pool.submit(chat, other, f"{number}", "b/careful")
            pool.shutdown()
        loads, answers = read_ledger(path)
        assert loads == {"a/careful": 1, "b/careful": 1}
        assert (len(answers), answers.total()) == (100, 100)


@contextmanager
def command(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the server in its own process, as users do."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakeval.demo.server", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCES), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def announced_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[-1]


def complaint(arguments: Sequence[str]) -> tuple[int, str]:
    """Run a server that cannot start; return its exit code and the last line of its errors."""
    with command(*arguments) as process:
        _, errors = process.communicate(timeout=HUNG)
        return process.returncode, errors.splitlines()[-1]


class TestCommand:
    """`python -m snakeval.demo.server`."""

    @pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
    def test_announces_its_url_and_ends_cleanly(self, ending: signal.Signals) -> None:
        with command("--port", "0", "--models", "careful") as process:
            url = announced_url(process)
            assert call(f"{url}/health")[0] == 200
            process.send_signal(ending)
            rest, errors = process.communicate(timeout=HUNG)
            assert (process.returncode, rest, errors) == (0, "", "")

    def test_reads_the_key_from_the_named_variable(self) -> None:
        with command("--api-key-name", "DEMO_KEY", DEMO_KEY="s3cret") as process:
            url = announced_url(process)
            assert call(f"{url}/v1/models", key="s3cret")[0] == 200
            assert call(f"{url}/v1/models", key="DEMO_KEY")[0] == 401

    def test_a_crash_ends_the_process(self) -> None:
        with command("--die-after", "0") as process:
            url = announced_url(process)
            with pytest.raises(ConnectionError):
                call(f"{url}/v1/completions", {"model": "careful", "prompt": SUM})
            assert process.wait(timeout=HUNG) == 70

    def test_fails_while_the_file_exists(self, tmp_path: Path) -> None:
        trouble = tmp_path / "trouble"
        with command("--fail-while", str(trouble)) as process:
            url = f"{announced_url(process)}/v1/completions"
            trouble.touch()
            assert call(url, {"model": "careful", "prompt": SUM})[0] == 500
            trouble.unlink()
            assert call(url, {"model": "careful", "prompt": SUM})[0] == 200

    def test_prints_the_progress_of_its_loading(self) -> None:
        with command("--load", "0.2") as process:
            assert process.stdout is not None
            start = time.monotonic()
            lines = [process.stdout.readline() for _ in range(5)]
            assert lines[:4] == [f"loading: {done} %\n" for done in (0, 25, 50, 75)]
            assert lines[4].startswith("Serving careful, sloppy at ")
            assert time.monotonic() - start >= 0.2
            assert call(f"{lines[4].split()[-1]}/health")[0] == 200

    def test_ends_cleanly_while_loading(self) -> None:
        with command("--load", "60") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "loading: 0 %\n"
            process.terminate()
            rest, errors = process.communicate(timeout=HUNG)
            assert (process.returncode, rest, errors) == (0, "", "")

    def test_the_ledger_survives_killed_servers(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        for prompt in (SUM, SUM, "What is 1 + 1?"):
            with command("--models", "careful", "--ledger", str(path)) as process:
                url = announced_url(process)
                call(f"{url}/v1/completions", {"model": "careful", "prompt": prompt})
                process.kill()
        loads, answers = read_ledger(path)
        assert loads == {"careful": 3}
        assert sorted(answers.values()) == [1, 2]
        assert answers["careful", digest("careful", SUM)] == 2
        writers = [json.loads(line)["server"] for line in path.read_text().splitlines()]
        assert len(set(writers)) == 3

    def test_a_ledger_in_a_missing_directory_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "absent" / "ledger"
        code, errors = complaint(["--ledger", str(path)])
        assert code == 2
        assert errors == f"Cannot write {path}: No such file or directory."

    def test_port_in_use(self) -> None:
        with serve() as server:
            code, errors = complaint(["--port", str(server.server_port)])
        assert code == 2
        assert errors == f"Cannot serve on 127.0.0.1:{server.server_port}: Address already in use."

    def test_missing_key(self) -> None:
        code, errors = complaint(["--api-key-name", "NO_SUCH_KEY"])
        assert code == 2
        assert errors.endswith("the environment variable NO_SUCH_KEY is not set")

    def test_unknown_model(self) -> None:
        code, errors = complaint(["--models", "gpt"])
        assert code == 2
        assert errors.endswith("models must be among careful, sloppy, not gpt")
