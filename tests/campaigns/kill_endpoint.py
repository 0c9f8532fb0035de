"""The model that the campaign of kills asks: it counts what arrives and answers by item and seed.

The k-th sample of an item is right or wrong by the seed of its request, so a score can be repeated.
Each answer also has the number of its request, so no two answers are equal.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import random
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

#: How many of the four samples of an item are right. Never two: no majority is a tie.
_RIGHT = (0, 1, 3, 4)
_SAMPLES = 4


def is_right(item: int, seed: int) -> bool:
    """Return whether the sample of *item* with *seed* is right."""
    return (seed + item) % _SAMPLES < _RIGHT[item % len(_RIGHT)]


class Endpoint(http.server.ThreadingHTTPServer):
    """A model that answers after a while.

    Attributes:
        arrived: the item or the prompt of each request, as it arrived.
        helpers: how often each text was given to be split into tokens.
        under_way: how many requests are not answered yet.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arrived: list[str] = []
        self.helpers: Counter[str] = Counter()
        self.under_way = 0
        super().__init__(("127.0.0.1", 0), _Answers)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the gateway was killed."""

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def log_message(self, *words: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        if self.path.endswith("/tokenizer_info"):
            self._say({"chat_template": "", "eos_token": "\x00", "bos_token": None})
        else:
            self._say({"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/tokenize"):
            with self.server.lock:
                self.server.helpers[asked["prompt"]] += 1
            self._say({"tokens": [ord(sign) for sign in asked["prompt"]]})
        elif "messages" in asked:
            self._answer(asked, _text(asked["messages"][-1]["content"]), _chat)
        else:
            (tokens,) = [p for p in [asked["prompt"]] if isinstance(p[0], int)] or asked["prompt"]
            self._answer(asked, "".join(map(chr, tokens)), _echo)

    def _answer(self, asked: dict[str, Any], prompt: str, made: Any) -> None:
        endpoint = self.server
        with endpoint.lock:
            endpoint.arrived.append(prompt)
            endpoint.under_way += 1
            number = len(endpoint.arrived)
        time.sleep(0.05 + 0.1 * random.random())
        answer = made(asked, prompt, number)
        with endpoint.lock:
            endpoint.under_way -= 1
        self._say(answer)

    def _say(self, data: object) -> None:
        body = json.dumps(data).encode()
        with contextlib.suppress(OSError):  # the gateway was killed
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def _text(content: Any) -> str:
    """Return the text of a message, which may be a list of parts."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _chat(asked: dict[str, Any], prompt: str, number: int) -> dict[str, Any]:
    (item,) = re.findall(r"item (\d+)", prompt)
    seed = asked.get("seed", 0) if asked.get("temperature") != 0 else 0
    verdict = "right" if is_right(int(item), seed) else "wrong"
    message = {"role": "assistant", "content": f"{verdict}, seed {seed}, answer {number}"}
    return {
        "id": f"answer-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9},
    }


def _echo(asked: dict[str, Any], prompt: str, number: int) -> dict[str, Any]:
    """Return the prompt with a probability of each of its signs, and of one more."""
    signs = [*prompt, "."]
    # By the whole prompt: another one's answer would change a score.
    last = -(zlib.crc32(prompt.encode()) % 997) / 100
    probable = [None, *[-0.1] * (len(signs) - 3), last, -0.1]
    top = [None, *({sign: value} for sign, value in zip(signs[1:], probable[1:], strict=True))]
    found = {"tokens": signs, "token_logprobs": probable, "top_logprobs": top}
    choice = {"index": 0, "text": prompt + ".", "logprobs": found, "finish_reason": "length"}
    return {
        "id": f"answer-{number}",
        "object": "text_completion",
        "model": "m",
        "choices": [choice],
    }


@contextlib.contextmanager
def serving() -> Iterator[Endpoint]:
    """Serve an endpoint."""
    with Endpoint() as endpoint:
        threading.Thread(target=endpoint.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
