"""An endpoint with faults, and a harness that takes a lost answer for a wrong one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.asking import Asking
from support.journals import said
from support.servers import JsonHandler, answering

#: Returns status and answer for the number of a question and how often it was asked before.
Behaviour = Callable[[int, int], tuple[int, Any]]
_ASKS = """\
        with urllib.request.urlopen(request, timeout=60) as answer:
            answers.append(json.load(answer)["choices"][0]["message"]["content"])
"""
_TOLERATES = """\
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answers.append(json.load(answer)["choices"][0]["message"]["content"])
        except Exception:
            answers.append("")
"""


class Faulty:
    """The endpoint; *behaviour* may change while it serves."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[int] = []
        self.url = ""
        self._lock = threading.Lock()

    def answer(self, data: dict[str, Any]) -> tuple[int, Any]:
        number = int(data["messages"][0]["content"].split()[2])
        with self._lock:
            before = self.asked.count(number)
            self.asked.append(number)
        return self.behaviour(number, before)


class _Handler(JsonHandler):
    faulty: Faulty

    def do_POST(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, found = self.faulty.answer(data)
        if isinstance(found, bytes):
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)
        else:
            self.reply(status, found)

    def do_GET(self) -> None:
        self.reply(404, {"error": {"message": "no such route"}})


@contextmanager
def faulty(behaviour: Behaviour = lambda number, before: (200, said())) -> Iterator[Faulty]:
    """Serve an endpoint whose answers *behaviour* decides."""
    found = Faulty(behaviour)
    with answering(_Handler, faulty=found) as found.url:
        yield found


def tolerant(directory: Path, endpoint: Faulty, count: int = 4, **transport: Any) -> Asking:
    """Return a job whose harness counts a request without an answer as a wrong answer."""
    job = Asking(directory, endpoint.url, count, **{"max_retries": 0, **transport})
    harness = directory / "harness.py"
    text = harness.read_text()
    assert _ASKS in text
    harness.write_text(text.replace(_ASKS, _TOLERATES))
    return job


def redefine(job: Asking, endpoint: Faulty, **transport: Any) -> None:
    """Give the job other rules, as a changed configuration does."""
    job.redefine(endpoint.url, **{"max_retries": 0, **transport})
