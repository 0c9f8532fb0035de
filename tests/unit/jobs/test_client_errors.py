"""What a harness's HTTP client met, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.jobs.client_errors import in_words
from snakeval.jobs.failure import failure_reason
from snakeval.matrix.expand import expand
from snakeval.runtimes import Outcome
from support.configs import VALID, config

#: The end of lm-evaluation-harness's log: tracebacks of requests that the end of another cut off.
CUT_OFF = "".join(
    "Task exception was never retrieved\nfuture: <Task finished name='Task-9'>\n"
    "Traceback (most recent call last):\n  File 'x', line 1, in y\n"
    "aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected\n"
    for _ in range(3)
)
URL = "url='http://127.0.0.1:1/v1/chat/completions'"
FRAMES = (
    "Traceback (most recent call last):\n  File 'aiohttp/client.py', line 1, in y\n    raise z\n"
)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            f"{FRAMES}asyncio.exceptions.CancelledError\n\n{FRAMES}TimeoutError\n{CUT_OFF}",
            "the endpoint did not answer within 300 s; raise request_timeout",
        ),
        (
            f"{FRAMES}aiohttp.client_exceptions.ContentTypeError: 200, message='Attempt to decode "
            f"JSON with unexpected mimetype: text/html', {URL}\n{CUT_OFF}",
            "the endpoint answers text/html, no JSON; check the endpoint's url. It may be a login "
            "page or an error page of a proxy.",
        ),
        (
            f"{FRAMES}aiohttp.client_exceptions.ContentTypeError: 200, message='Attempt to decode "
            f"JSON with unexpected mimetype: text/plain; charset=utf-8', {URL}\n{CUT_OFF}",
            "the endpoint answers text/plain, no JSON; check the endpoint's url.",
        ),
        (
            f"{FRAMES}ValueError: zip() argument 2 is shorter than argument 1\n",
            "the endpoint sent an answer without choices",
        ),
        (
            f"{FRAMES}requests.exceptions.ReadTimeout: HTTPConnectionPool(host='h')\n",
            "the endpoint did not answer within 300 s; raise request_timeout",
        ),
        (f"{FRAMES}ValueError: no split\n", ""),
        (CUT_OFF, ""),
        ("Traceback (most recent call last):\n  File 'db.py'\nTimeoutError\n", ""),
    ],
)
def test_the_first_kind_of_failure_is_the_cause(tmp_path: Path, log: str, words: str) -> None:
    (tmp_path / "log").write_text(log)
    assert in_words(tmp_path / "log", 300) == words


def test_the_reason_has_the_words_unless_the_endpoint_refused_a_request(tmp_path: Path) -> None:
    (made,) = expand(config(tmp_path, VALID))
    log = tmp_path / "log"
    log.write_text(f"{FRAMES}TimeoutError\n{CUT_OFF}")
    reason = failure_reason(made, Outcome(1), log, "http://127.0.0.1:9/v1/chat/completions")
    seconds = made.transport.request_timeout
    assert f"did not answer within {seconds} s; raise request_timeout; the endpoint" in reason
    log.write_text(f"{FRAMES}TimeoutError\nAPI request failed! Status code: 401, no key\n{CUT_OFF}")
    reason = failure_reason(made, Outcome(1), log, "http://127.0.0.1:9/v1/chat/completions")
    assert reason.startswith("the harness exited with 1; API request failed! Status code: 401, no")
