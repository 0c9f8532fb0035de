"""Stands in for vLLM: loads adapters, replaces its weights, and has a prefix cache.

Each number of its answers depends on the weights that it has and on the tokens before. As in vLLM,
an answer from cached blocks depends on the weights that filled the cache, and a request that
returns the log-probabilities of its prompt does not read the cache. Chat requests are those of
:mod:`support.digest_server`: with a ledger, it notes what it loads and what it answers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from support import digest_server

BLOCK = 16
BASE = "base"
#: How long a digest is. The weights of an adapter are the digest of its base and its own.
_DIGEST = 64


def deployment(ledger: Path, **keys: Any) -> dict[str, Any]:
    """Return the ``deployment`` of a series whose checkpoints share this server."""
    command = f"exec {sys.executable} -S {Path(__file__)} {{{{ host }}}} {{{{ port }}}}"
    command += f" {{{{ served_model_name }}}} {{{{ model }}}} --ledger {ledger}"
    return {"kind": "vllm", "gpus": 0, "runtime": "process", "command": command, **keys}


def content(path: str | Path, ledger: Path | None = None) -> str:
    """Return the weights of a checkpoint: the digest of its files; note it in the *ledger*."""
    try:
        found = digest_server.digest_of(Path(path))
    except ValueError:
        if ledger:
            digest_server.note(ledger, half=str(path))
        raise
    if ledger:
        digest_server.note(ledger, load=str(path), digest=found)
    return found


class Engine:
    """The state of the server, and its faults.

    Attributes:
        faults: ``stale``: reloads and loads do nothing. ``cache``: the cache is not emptied, and
            ``busy cache``: it says so. ``mute``: no log-probabilities. ``refuse``: loads fail.
            ``mixed``: swapped weights answer otherwise than those of a start.
        noise: added to each log-probability, with another sign at each request.
        asked: the paths of all requests, in order.
    """

    def __init__(
        self, weights: str = "", *faults: str, base: str = BASE, ledger: Path | None = None
    ) -> None:
        self.faults, self.ledger = set(faults), ledger
        self.noise = 0.0
        self.asked: list[str] = []
        self.base, self.names = base, {base: weights}
        self.cache: dict[tuple[str, tuple[int, ...]], str] = {}
        self._requests = self._hits = 0
        self._lock = threading.Lock()

    def replace(self, path: str) -> None:
        if "stale" not in self.faults:
            self.names[self.base] = content(path, self.ledger) + (
                "mixed" if "mixed" in self.faults else ""
            )

    def empty(self) -> bool:
        if "cache" not in self.faults:
            self.cache.clear()
        return "busy cache" not in self.faults

    def load(self, name: str, path: str) -> tuple[int, Any]:
        if not Path(path).is_dir() or "refuse" in self.faults:
            return 404, {"error": {"message": f"Loading lora {name} failed: No adapter found"}}
        if name in self.names:
            return 400, {"error": {"message": f"'{name}' has already been loaded"}}
        self.names[name] = self.names[self.base] + (
            "" if "stale" in self.faults else content(path, self.ledger)
        )
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def chat(self, asked: Any) -> tuple[int, Any]:
        """Answer a question as the weights of the digest server do, and note it."""
        model, prompt = asked["model"], asked["messages"][-1]["content"]
        if model not in self.names:
            return 404, {"error": {"message": f"The model `{model}` does not exist."}}
        return 200, digest_server.reply(self.names[model][-_DIGEST:], model, prompt, self.ledger)

    def complete(self, asked: Any) -> tuple[int, Any]:
        with self._lock:
            return self._complete(asked)

    def _complete(self, asked: Any) -> tuple[int, Any]:
        model, prompts = asked["model"], asked["prompt"]
        if model not in self.names:
            return 404, {"error": {"message": f"The model `{model}` does not exist."}}
        if "mute" in self.faults:
            return 400, {"error": {"message": "logprobs are not supported"}}
        self._requests += 1
        prompts = prompts if isinstance(prompts[0], list) else [prompts]
        return 200, {
            "choices": [
                {"index": index, "text": "", "logprobs": self._answer(asked, tuple(prompt))}
                for index, prompt in enumerate(prompts)
            ]
        }

    def _answer(self, asked: Any, prompt: tuple[int, ...]) -> dict[str, Any]:
        model, echo = asked["model"], bool(asked.get("echo"))
        weights = self.names[model]
        noise = self.noise if self._requests % 2 else -self.noise
        block = (model, prompt[: len(prompt) // BLOCK * BLOCK])
        if echo or "cache_salt" in asked:
            filled = weights
        else:
            self._hits += len(block[1]) if block in self.cache else 0
            filled = self.cache.setdefault(block, weights)
        known = [_number(weights, prompt[:place]) for place in range(1, len(prompt))]
        tokens = list(prompt)
        for _ in range(asked["max_tokens"]):
            known.append(_number(weights + filled, tokens))
            tokens.append(int(known[-1] * 1000) % 97)
        logprobs: list[float | None] = [None, *(number + noise for number in known)]
        begin = 0 if echo else len(prompt)
        return {
            "tokens": [str(token) for token in tokens[begin:]],
            "token_logprobs": logprobs[begin:],
            "top_logprobs": [
                {
                    f"{token}-{rank}" if rank else str(token): (logprob or 0) - rank
                    for rank in range(asked["logprobs"])
                }
                for token, logprob in zip(tokens[begin:], logprobs[begin:], strict=True)
            ],
        }

    def metrics(self) -> str:
        return (
            f'vllm:cache_config_info{{block_size="{BLOCK}",engine="0"}} 1.0\n'
            f'vllm:num_requests_running{{engine="0"}} 0.0\n'
            f'vllm:prefix_cache_hits_total{{engine="0"}} {float(self._hits)}\n'
        )


def _number(weights: str, tokens: Sequence[int]) -> float:
    """Return a log-probability that depends on everything."""
    text = f"{weights} {tokens}".encode()
    return -0.1 - 8 * int.from_bytes(hashlib.sha256(text).digest()[:4], "big") / 2**32


class Handler(BaseHTTPRequestHandler):
    """The requests of vLLM that snakeval sends."""

    engine: Engine
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._say(200, self.engine.metrics())
        elif self.path == "/v1/models":
            self._say(200, {"data": [{"id": name} for name in self.engine.names]})
        else:
            self._say(200, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        engine = self.engine
        engine.asked.append(self.path)
        match self.path:
            case "/v1/load_lora_adapter":
                self._say(*engine.load(asked["lora_name"], asked["lora_path"]))
            case "/v1/unload_lora_adapter":
                engine.names.pop(asked["lora_name"], None)
                self._say(200, "Success")
            case "/collective_rpc":
                engine.replace(asked["kwargs"]["weights_path"])
                self._say(200, {"results": [None]})
            case "/reset_prefix_cache":
                self._say(200, {"success": engine.empty()})
            case "/v1/chat/completions":
                self._say(*engine.chat(asked))
            case "/v1/completions":
                self._say(*engine.complete(asked))
            case _:
                self._say(404, {"error": {"message": "Not Found"}})

    def _say(self, status: int, said: Any) -> None:
        text = (said if isinstance(said, str) else json.dumps(said)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def serving(engine: Engine) -> Iterator[str]:
    """Serve *engine* in a thread; yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"engine": engine}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def main() -> None:
    """Serve, as the command of a deployment."""
    parser = argparse.ArgumentParser()
    for name in ("host", "port", "name", "path"):
        parser.add_argument(name)
    parser.add_argument("faults", nargs="*")
    parser.add_argument("--ledger", type=Path)
    given = parser.parse_args()
    weights = content(given.path, given.ledger)
    engine = Engine(weights, *given.faults, base=given.name, ledger=given.ledger)
    bound = type("Bound", (Handler,), {"engine": engine})
    server = ThreadingHTTPServer((given.host, int(given.port)), bound)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
