"""A stand-in for a model server: its answers depend on the digest of the weights that it loaded.

Run it as ``runtime: process`` with :func:`deployment`, and ask it with :func:`benchmark`. It writes
what it loads and answers to a ledger, one JSON object a line. It never serves half-written weights,
but notes that it was asked to. It needs only Python, so that hundreds of starts cost little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: Asks some questions one after the other; its score is the share of right answers.
_HARNESS = """\
import json, sys, urllib.request
url, model, name, count, results = sys.argv[1:]
right = 0
for number in range(int(count)):
    message = {"role": "user", "content": f"{name}/{number}"}
    body = json.dumps({"model": model, "messages": [message]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        right += json.load(answer)["choices"][0]["message"]["content"] == "right"
with open(results + "/score.json", "w") as file:
    json.dump({"score": right / int(count)}, file)
"""


@dataclass(frozen=True)
class Written:
    """The ledger of all servers.

    Attributes:
        loads: the path and the digest of each load of whole weights.
        half: the paths of half-written weights that a server was to load.
        asked: the digest and the prompt of each request.
        gone: the paths of weights that were deleted before a server could load them.
    """

    loads: tuple[tuple[str, str], ...]
    half: tuple[str, ...]
    asked: tuple[tuple[str, str], ...]
    gone: tuple[str, ...] = ()


def deployment(ledger: Path, **keys: Any) -> dict[str, Any]:
    """Return the ``deployment`` of a model or series that this program serves."""
    command = f"exec {sys.executable} -S {Path(__file__)} --port {{{{ port }}}}"
    command += " --model {{ model }} --name {{ served_model_name }}"
    return {
        "kind": "generic",
        "runtime": "process",
        "command": f"{command} --ledger {ledger}",
        **keys,
    }


def benchmark(directory: Path, name: str, count: int = 4) -> dict[str, Any]:
    """Return a benchmark of *count* questions, whose harness is in *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "harness.py").write_text(_HARNESS)
    return {
        "harness": "generic",
        "files": str(directory),
        "command": f"exec {sys.executable} -S harness.py {{{{ url }}}} {{{{ model_id }}}} {name} "
        f"{count} {{{{ results }}}}",
        "metrics": {"file": "score.json", "values": {"score": {"value": "score"}}},
    }


def digest_of(checkpoint: Path) -> str:
    """Return the digest of the weights in a checkpoint's directory.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: a file is not as long as it declares.
    """
    total = hashlib.sha256()
    files = sorted(checkpoint.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{checkpoint} has no weights")
    for file in files:
        content = file.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
        if len(content) != 8 + length + max(ends, default=0):
            raise ValueError(f"{file} is half-written")
        total.update(file.name.encode() + b"\0" + content)
    return total.hexdigest()


def answer(digest: str, prompt: str) -> str:
    """Return the answer of weights: ``right`` or ``wrong``, more often right for some digests."""
    drawn = hashlib.sha256(f"{digest} {prompt}".encode()).digest()[0]
    return "right" if drawn < 64 + int(digest[:2], 16) // 2 else "wrong"


def score(digest: str, name: str, count: int = 4) -> float:
    """Return the score of weights in :func:`benchmark`."""
    answers = [answer(digest, f"{name}/{number}") for number in range(count)]
    return answers.count("right") / count


def read(ledger: Path) -> Written:
    """Return what servers have written to a ledger; a line that is not whole does not count."""
    lines = list(_lines(ledger))
    return Written(
        tuple((line["load"], line["digest"]) for line in lines if "load" in line),
        tuple(line["half"] for line in lines if "half" in line),
        tuple((line["digest"], line["asked"]) for line in lines if "asked" in line),
        tuple(line["gone"] for line in lines if "gone" in line),
    )


def _lines(ledger: Path) -> Iterator[dict[str, str]]:
    text = ledger.read_text() if ledger.exists() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def note(ledger: Path, **what: str) -> None:
    """Append a line to a ledger at once, so that lines of several servers do not mix."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(what) + "\n").encode())
    finally:
        os.close(descriptor)


def reply(digest: str, name: str, prompt: str, ledger: Path | None) -> dict[str, Any]:
    """Return what the model *name* with weights replies, and note the request in the *ledger*."""
    said = answer(digest, prompt)
    if ledger:
        note(ledger, digest=digest, asked=prompt)
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "text": said}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choices = [{**choice, "finish_reason": "stop"}]
    return {"id": "1", "model": name, "choices": choices, "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    """Answers requests for a model."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *words: Any, digest: str, name: str, ledger: Path) -> None:
        self._digest, self._name, self._ledger = digest, name, ledger
        super().__init__(*words)

    def do_GET(self) -> None:
        self._reply({"object": "list", "data": [{"id": self._name, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        self._reply(reply(self._digest, self._name, prompt, self._ledger))

    def _reply(self, said: Mapping[str, Any]) -> None:
        text = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words: object) -> None:
        """Print nothing."""


def main() -> int:
    """Load the weights and serve them; return 1 if they are half-written or gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    for option in ("--model", "--ledger"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()
    try:
        digest = digest_of(options.model)
    except FileNotFoundError as error:
        note(options.ledger, gone=str(options.model))
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        note(options.ledger, half=str(options.model))
        print(f"Error: {error}", file=sys.stderr)
        return 1
    note(options.ledger, load=str(options.model), digest=digest)
    handler = partial(_Handler, digest=digest, name=options.name, ledger=options.ledger)
    ThreadingHTTPServer(("127.0.0.1", options.port), handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
