"""The one line that says why a harness failed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from snakeval.jobs.failure import endpoint_trouble, failure_reason
from snakeval.logs import last_error
from snakeval.matrix.expand import expand
from snakeval.runtimes import Outcome
from support.configs import VALID, changed, config

LM_EVAL = {"models": VALID["models"], "benchmarks": {"b": {"harness": "lm-eval", "task": "gsm8k"}}}
ENDED = "snakeval: the harness exited with 1 after 3.0 s\n"


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no split\n',
            "ValueError: no split",
        ),
        ("step 1\nERROR: out of quota\ncleaning up\n", "ERROR: out of quota"),
        ("only\nthis\n", "this"),
        ("\x1b[31mfatal: red\x1b[0m\n\n", "fatal: red"),
        ("10%\r20%\rRuntimeError: at 20%\n", "RuntimeError: at 20%"),
        (
            "API request failed! Status code: 401, {'error': 'no key'}\n"
            "RuntimeError: Session is closed\n",
            "API request failed! Status code: 401, {'error': 'no key'}",
        ),
        (
            'API request failed! Status code: 400, Response text: {\n  "error": {\n    "message": '
            '"Unsupported \\"max_tokens\\"",\n  }\n}\nRuntimeError: Session is closed\n',
            'API request failed! Status code: 400: Unsupported "max_tokens"',
        ),
        (
            "API request failed! Status code: 502, Response text: <html>\r\n<head><title>502 Bad "
            "Gateway</title></head>\r\n</html>\nRuntimeError: Session is closed\n",
            "API request failed! Status code: 502: 502 Bad Gateway",
        ),
        (
            "API request failed! Status code: 400, Response text: {\n"
            '"message": "no \\q"\nRuntimeError: Session is closed\n',
            "API request failed! Status code: 400: no \\q",
        ),
        (
            'WARNING API request failed with error message: {\n "error": {\n  "message": "no '
            "'max_tokens'\"\n }\n}. Retrying...\n"
            "HTTPError: 400 Client Error: Bad Request for url: http://h/v1\n",
            "400 Client Error: Bad Request: no 'max_tokens'",
        ),
        (
            'API request failed! Status code: 401, Response text: {"e": {"message": "no key"}}\n'
            '"message": "of another request"\nRuntimeError: Session is closed\n',
            "API request failed! Status code: 401: no key",
        ),
        (
            "API request failed with error message: busy. Retrying...\n"
            "HTTPError: 503 Server Error: Service Unavailable for url: http://h/v1\n",
            "503 Server Error: Service Unavailable: busy",
        ),
        (
            "API request failed with error message: . Retrying...\n"
            "HTTPError: 500 Server Error: x for url: http://h/v1\n",
            "HTTPError: 500 Server Error: x for url: http://h/v1",
        ),
        ("ValueError: x\nsrun: error: n1: task 0: Exited with exit code 1\n", "ValueError: x"),
        ("srun: error: Unable to create step\n", "srun: error: Unable to create step"),
        ("", ""),
    ],
)
def test_the_line_that_matters_is_found(tmp_path: Path, log: str, line: str) -> None:
    path = tmp_path / "log"
    path.write_text(f"{log}{ENDED}")
    assert last_error(path) == line


def test_out_of_memory_says_what_to_raise(tmp_path: Path) -> None:
    (made,) = expand(config(tmp_path, changed("resources", "mem_mb", to=100)))
    reason = failure_reason(made, Outcome(137, out_of_memory=True), tmp_path / "log")
    assert reason == (
        "out of memory: the kernel killed the harness; raise resources.mem_mb (now 100)"
    )


def test_an_endpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1"
    content = VALID | changed("models", "m", "endpoint", "url", to=url)
    (made,) = expand(config(tmp_path, content))
    assert endpoint_trouble(made).startswith(f"the endpoint {url} cannot be reached (")


def test_an_endpoint_is_looked_at_through_the_proxy_and_a_served_model_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(200) as url:
        content = VALID | changed("models", "m", "endpoint", "url", to=url)
        (made,) = expand(config(tmp_path, content))
        assert endpoint_trouble(made).startswith(f"the endpoint {url} cannot be reached (")
        assert endpoint_trouble(made, url) == ""


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/v1/models" else 418)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "key_name", "said"),
    [
        (200, None, ""),
        (404, None, ""),  # some endpoints list no models, and are well
        (401, None, "refuses no key (set api_key_name) (HTTP 401)"),
        (403, "MY_KEY", "refuses the key in MY_KEY (HTTP 403)"),
        (429, None, "answers HTTP 429"),
        (503, None, "answers HTTP 503"),
    ],
)
def test_the_reason_states_the_endpoint_s_answer_without_the_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    key_name: str | None,
    said: str,
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-canary")
    with answering(status) as url:
        endpoint = {"url": url, "model_id": "m", "api_key_name": key_name}
        (made,) = expand(config(tmp_path, changed("models", "m", "endpoint", to=endpoint)))
        assert endpoint_trouble(made) == (f"the endpoint {url} {said}" if said else "")


def test_a_key_that_no_header_can_hold_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk\nInjected: yes")
    with answering(200) as url:
        endpoint = {"url": url, "model_id": "m", "api_key_name": "MY_KEY"}
        (made,) = expand(config(tmp_path, changed("models", "m", "endpoint", to=endpoint)))
        assert endpoint_trouble(made) == ""


@pytest.mark.parametrize(
    ("exit_code", "begins"),
    [
        (3, "the harness exited with 3; ValueError: x"),
        (127, "the harness's command was not found in its image (exit code 127); ValueError: x"),
        (137, "the harness was killed (SIGKILL), perhaps for want of memory; ValueError: x"),
    ],
)
def test_the_exit_code_comes_first(tmp_path: Path, exit_code: int, begins: str) -> None:
    (tmp_path / "log").write_text("ValueError: x\n")
    with answering(200) as url:
        (made,) = expand(config(tmp_path, changed("models", "m", "endpoint", "url", to=url)))
        assert failure_reason(made, Outcome(exit_code), tmp_path / "log") == begins


def test_a_tokenizer_that_is_not_on_the_hub_has_a_hint(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("OSError: We couldn't connect to 'https://huggingface.co' to load the files\n")
    content = changed("models", "m", "endpoint", "type", to="completions")
    (made,) = expand(config(tmp_path, content))
    hint = "set params.extra.model_args.tokenizer"
    assert hint in failure_reason(made, Outcome(1), log, "http://127.0.0.1:9/v1/completions")
    (chat,) = expand(config(tmp_path, VALID))
    assert hint not in failure_reason(chat, Outcome(1), log, "http://127.0.0.1:9/v1/completions")


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "set params.extra.args to [--model, openai-chat-completions]",
        ),
        (
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the "
            "default (1) value is supported.",
            "set params.temperature to 1",
        ),
        ("No such model", ""),
    ],
)
def test_a_refused_parameter_has_a_hint(tmp_path: Path, message: str, hint: str) -> None:
    body = json.dumps({"error": {"message": message}}, indent=2)
    log = tmp_path / "log"
    log.write_text(
        f"API request failed! Status code: 400, Response text: {body}\n"
        "RuntimeError: Session is closed\n"
    )
    (made,) = expand(config(tmp_path, LM_EVAL))
    reason = failure_reason(made, Outcome(1), log, "http://127.0.0.1:9/v1/chat/completions")
    assert f"Status code: 400: {message}" in reason
    assert hint in reason
    assert ("set params" in reason) == bool(hint)


def test_a_reason_of_a_log_has_at_most_300_characters(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"ValueError: {'no split ' * 90}\n")
    (made,) = expand(config(tmp_path, VALID))
    reason = failure_reason(made, Outcome(1), log, "http://127.0.0.1:9/v1/chat/completions")
    assert reason.startswith("the harness exited with 1; ValueError: no split no")
    assert 200 < len(reason) <= 300
