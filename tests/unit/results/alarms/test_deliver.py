"""Deliveries to a real HTTP server and to real commands; no message has the webhook's URL."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from snakeval.results.alarms import deliver
from snakeval.results.alarms.deliver import DeliveryError

ALARM = {"text": "it dropped — by 0.1", "kind": "drop", "value": 0.5}


class Hook:
    """A webhook that answers with each of its codes, and then with 200."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.got: list[tuple[str, str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
                code = hook.codes.pop(0) if hook.codes else 200
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST

            def log_message(self, *unused: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = self.server.server_address[1]
        self.environment = {"HOOK": f"http://127.0.0.1:{port}/services/T0/SECRET"}
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


def post(environment: dict[str, str]) -> list[float]:
    """Post the alarm; return the pauses."""
    pauses: list[float] = []
    deliver.by_webhook("HOOK", ALARM, environment=environment, sleep=pauses.append)
    return pauses


def test_a_webhook_gets_the_text_and_the_fields(hook: Hook) -> None:
    assert post(hook.environment) == []
    assert hook.got == [("/services/T0/SECRET", "application/json", ALARM)]


def test_what_may_pass_is_tried_again(hook: Hook) -> None:
    hook.codes = [503, 429]
    assert post(hook.environment) == [*deliver.PAUSES]
    assert len(hook.got) == 3


@pytest.mark.parametrize(
    ("codes", "problem", "tries"),
    [([404], "answers 404", 1), ([302], "answers 302", 1), ([500] * 9, "answers 500", 3)],
)
def test_a_failure_says_the_code_and_not_the_url(
    hook: Hook, codes: list[int], problem: str, tries: int
) -> None:
    hook.codes = codes
    with pytest.raises(DeliveryError) as raised:
        post(hook.environment)
    assert str(raised.value) == f"the webhook of $HOOK {problem}"
    assert len(hook.got) == tries


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "$HOOK is not set"),
        ("file:///etc/SECRET", "is no http or https URL"),
        ("http://127.0.0.1:1/SECRET", "does not answer (Connection refused)"),
        ("http://127.0.0.1:SECRET/x", "does not answer (InvalidURL)"),
        ("http://[SECRET/x", "cannot be read"),
        ("http://127.0.0.1:1/SECRET x", "does not answer (InvalidURL)"),
    ],
)
def test_a_wrong_url_is_never_shown(url: str, problem: str) -> None:
    with pytest.raises(DeliveryError) as raised:
        post({"HOOK": url})
    assert problem in str(raised.value)
    assert "SECRET" not in str(raised.value)


def test_a_command_gets_the_alarm_on_its_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "a b"
    copy = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"
    deliver.by_command([sys.executable, "-c", copy, str(out)], ALARM)
    assert json.loads(out.read_text()) == ALARM
    deliver.by_command(f"cat > '{out}.2'", ALARM)
    assert json.loads(Path(f"{out}.2").read_text()) == ALARM
    deliver.by_command(["true"], {"text": "x" * 200_000})  # it reads nothing


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("echo one >&2; echo two >&2; exit 3", "the command ended with 3: two"),
        (["false"], "the command ended with 1"),
        (["/no/such/program"], "the command cannot start (No such file or directory)"),
    ],
)
def test_a_command_that_fails_says_why(command: Any, problem: str) -> None:
    with pytest.raises(DeliveryError) as raised:
        deliver.by_command(command, ALARM)
    assert str(raised.value) == problem


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="took more than 0 s"):
        deliver.by_command("sleep 1800 & cat > /dev/null; wait", ALARM, seconds=0.05)
