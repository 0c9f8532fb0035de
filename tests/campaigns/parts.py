"""What the runs of the campaigns consist of: a model server and a harness, both plain Python.

``python parts.py server HOST PORT NAME LOG`` answers ``/health``, ``/v1/models`` and questions.
``python parts.py harness URL RESULTS LOG NAME COUNT PAUSE MANNER`` asks COUNT questions and writes
its score. It keeps each answer, so it goes on where it was. Each start and each question is a line
of LOG. A ``tolerant`` harness takes a request without an answer for a wrong answer, as many real
ones do; a ``strict`` one ends with 1.
"""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import sys
import time
import urllib.request
from pathlib import Path


def note(log: str, *words: object) -> None:
    """Append a line to *log* in one write, so that lines of several processes stay whole."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(handle)


def server(host: str, port: str, name: str, log: str) -> None:
    """Serve a model that answers a question with the question's number."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            """Print nothing."""

        def say(self, data: object) -> None:
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.say({} if self.path == "/health" else {"data": [{"id": name}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = asked["messages"][0]["content"]
            self.say({"choices": [{"message": {"content": content.split()[-1]}}]})

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        allow_reuse_address = True

    note(log, "served", name, os.getpid())
    Server((host, int(port)), Handler).serve_forever()


def harness(
    url: str, results: str, log: str, name: str, count: str, pause: str, manner: str
) -> None:
    """Ask *count* questions, one after the other, and write the share of right answers."""
    note(log, "started", name)
    right = 0
    for number in range(int(count)):
        kept = Path(results, f"answer-{number}.json")
        if not kept.exists():
            message = {"role": "user", "content": f"Repeat {number}"}
            body = json.dumps({"model": "m", "messages": [message]}).encode()
            headers = {"Content-Type": "application/json"}
            if key := os.environ.get("API_KEY"):
                headers["Authorization"] = f"Bearer {key}"
            request = urllib.request.Request(url, body, headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    text = json.load(answer)["choices"][0]["message"]["content"]
            except OSError:
                if manner == "strict":
                    raise
                continue
            note(log, "asked", name, number)
            draft = kept.with_suffix(".new")
            draft.write_text(json.dumps(text))
            draft.rename(kept)
            time.sleep(float(pause))
        right += json.loads(kept.read_text()) == str(number)
    Path(results, "score.json").write_text(json.dumps({"score": right / int(count)}))
    note(log, "ended", name)


if __name__ == "__main__":
    {"server": server, "harness": harness}[sys.argv[1]](*sys.argv[2:])
