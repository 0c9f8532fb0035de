"""A model whose answers depend on nothing but the request: prompt, seed and temperature.

It serves chat, completions with echo and log-probabilities, and a tokenizer of characters, as vLLM
does. It answers sums, and a known share of its answers is wrong.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from typing import Any

_SUM = re.compile(r"(\d+) \+ (\d+)")
#: Tokens before one that determine its log-probability.
_CONTEXT = 8
_END = "\x03"


def chance(*parts: object) -> int:
    """Return a number that looks random and depends on *parts* alone."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def answer(prompt: str, asked: dict[str, Any]) -> str:
    """Return the text that follows *prompt*."""
    left, right = map(int, _SUM.findall(prompt)[-1])
    seed = asked.get("seed") if asked.get("temperature") else 0
    text = f" The answer is {left + right + (chance(prompt, seed) % 10 >= 7)}.\nQuestion: none"
    for stop in asked.get("stop") or ():
        text = text.partition(stop)[0] if stop else text
    return text[: asked.get("max_tokens") or 256]


def probabilities(tokens: list[int]) -> dict[str, Any]:
    """Return ``logprobs`` of a completion that repeats its prompt."""
    found: list[float | None] = [None]
    best: list[dict[str, float] | None] = [None]
    for place in range(1, len(tokens)):
        drawn = chance(tokens[max(0, place - _CONTEXT) : place + 1])
        value = -(1 + drawn % 4000) / 1000
        found.append(value)
        best.append({chr(tokens[place]): value, "other": value + (0.1 if drawn % 3 else -0.1)})
    return {
        "tokens": [chr(token) for token in tokens],
        "token_logprobs": found,
        "top_logprobs": best,
    }


def completion(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request for completions."""
    prompts = asked["prompt"]
    if isinstance(prompts, str) or isinstance(prompts[0], int):
        prompts = [prompts]
    choices = []
    for index, prompt in enumerate(prompts):
        text = prompt if isinstance(prompt, str) else "".join(map(chr, prompt))
        choice: dict[str, Any] = {"index": index, "finish_reason": "stop"}
        if asked.get("echo"):
            choice |= {"text": text + "!", "logprobs": probabilities([*map(ord, text), ord("!")])}
        else:
            choice |= {"text": answer(text, asked), "logprobs": None}
        choices.append(choice)
    return {"object": "text_completion", "model": "m", "choices": choices}


def chat(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request of a chat."""
    prompt = "\n".join(str(message["content"]) for message in asked["messages"])
    message = {"role": "assistant", "content": answer(prompt, asked)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"object": "chat.completion", "model": "m", "choices": [choice]}


def tokenize(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the tokens of a text."""
    tokens = [ord(letter) for letter in asked["prompt"]]
    return {"tokens": tokens, "count": len(tokens), "max_model_len": 2048}


def detokenize(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the text of tokens."""
    return {"prompt": "".join(map(chr, asked["tokens"]))}


_ROUTES = {
    "/v1/chat/completions": chat,
    "/v1/completions": completion,
    "/tokenize": tokenize,
    "/detokenize": detokenize,
}


class Model(http.server.ThreadingHTTPServer):
    """The model on a socket; *arrived* counts its requests."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.lock, self.arrived = threading.Lock(), 0
        super().__init__(("127.0.0.1", 0), _Answers)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the harness hung up."""

    @property
    def url(self) -> str:
        """The URL without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def log_message(self, *words: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        known = {"eos_token": _END, "bos_token": None, "pad_token": None, "chat_template": None}
        self._send(known if self.path == "/tokenizer_info" else None)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        route = _ROUTES.get(self.path)
        self._send(route(asked) if route else None)

    def _send(self, data: dict[str, Any] | None) -> None:
        with self.server.lock:
            self.server.arrived += 1
        body = json.dumps(data or {"error": "no such route"}).encode()
        self.send_response(200 if data else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
