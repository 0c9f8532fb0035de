"""The model that the campaign of faulty answers asks: one route for each fault.

``URL/FAULT/v1`` answers as :mod:`campaigns.kill_endpoint` does, except to the items of `CHOSEN`. A
fault is a function that gets the sound answer, and changes it or sends something else.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from campaigns import kill_endpoint

#: The items whose answers are faulty.
CHOSEN = ("item 2", "item 5")
#: How many requests of an item a fault meets that ends.
_FIRST = 2
#: Longer than the campaign lets the gateway wait, in seconds.
_HANGS = 30.0
LONG = "right, and as long as an answer has to be before two equal ones are no chance. " * 4
_PAGE = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>Log in</body></html>"

Sound = dict[str, Any]
#: Sends an answer; gets what sends and the sound answer.
Fault = Callable[["Answers", Sound], None]


class FaultyEndpoint(kill_endpoint.Endpoint):
    """The model; *played* has how often it played each fault."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = Answers
        self.played: Counter[str] = Counter()
        self.met: Counter[tuple[str, str]] = Counter()

    @property
    def root(self) -> str:
        """The URL before the name of a fault."""
        return self.url.removesuffix("/v1")


class Answers(kill_endpoint._Answers):
    """Plays the fault that the path names."""

    server: FaultyEndpoint

    def _answer(self, asked: dict[str, Any], prompt: str, made: Any) -> None:
        endpoint, name = self.server, self.path.split("/")[1]
        with endpoint.lock:
            endpoint.arrived.append(prompt)
            number = len(endpoint.arrived)
        time.sleep(0.02)
        answer = made(asked, prompt, number)
        if asked.get("stream") and asked.get("logprobs"):
            raise ValueError("no harness of the campaign asks for both")
        if asked.get("logprobs") and "messages" in asked:
            content = [{"token": "right", "logprob": -0.1, "bytes": None, "top_logprobs": []}]
            answer["choices"][0]["logprobs"] = {"content": content}
        found = next((item for item in CHOSEN if _has(prompt, item)), "")
        fault, is_for_all, ends = FAULTS.get(name, (None, False, False))
        with endpoint.lock:
            endpoint.met[name, found] += 1
            is_over = ends and endpoint.met[name, found] > _FIRST
            plays = fault is not None and (bool(found) or is_for_all) and not is_over
            endpoint.played[name] += plays
        if fault is not None and plays:
            fault(self, answer)
        elif asked.get("stream"):
            self.stream(answer, is_whole=True)
        else:
            self._say(answer)

    def send(self, status: int, body: bytes, kind: str = "application/json", **more: str) -> None:
        """Send an answer; *more* are headers."""
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {"Content-Type": kind, **more}.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in more:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def stream(self, answer: Sound, *, is_whole: bool) -> None:
        """Send the answer as a stream, or the beginning of it."""
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        deltas = [{"content": text[:8]}, {"content": text[8:]}]
        chunks = [{**answer, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        ended = {**answer, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        events = [json.dumps(each) for each in (*chunks, ended)] + ["[DONE]"]
        sent = events if is_whole else events[:1]
        body = "".join(f"data: {event}\n\n" for event in sent).encode()
        # The end of the connection is the end of the stream: no length can betray it.
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)


def _has(prompt: str, item: str) -> bool:
    """Whether the item is in the prompt as a whole, and is not the beginning of another."""
    _, found, after = prompt.partition(item)
    return bool(found) and not after[:1].isdigit()


def _changed(**more: Any) -> Fault:
    """Return a fault with other members of the message; ``choice`` has members of the choice."""

    def play(answers: Answers, sound: Sound) -> None:
        choice = sound["choices"][0]
        choice |= more.get("choice", {})
        if "message" in choice:
            choice["message"] |= {name: value for name, value in more.items() if name != "choice"}
        else:
            choice |= {"text": more["content"], "logprobs": None}
        answers.send(200, json.dumps(sound).encode())

    return play


def _without_index(answers: Answers, sound: Sound) -> None:
    del sound["choices"][0]["index"]
    answers.send(200, json.dumps(sound).encode())


def _without_message(answers: Answers, sound: Sound) -> None:
    sound["choices"] = [{"index": 0, "finish_reason": "stop"}]
    answers.send(200, json.dumps(sound).encode())


def _as_parts(answers: Answers, sound: Sound) -> None:
    message = sound["choices"][0]["message"]
    message["content"] = [{"type": "text", "text": message["content"]}]
    answers.send(200, json.dumps(sound).encode())


def _without_logprobs(answers: Answers, sound: Sound) -> None:
    sound["choices"][0]["logprobs"] = None
    answers.send(200, json.dumps(sound).encode())


def _without_echo(answers: Answers, sound: Sound) -> None:
    """Play an endpoint that ignores ``echo``: it knows the likelihood of its own token alone."""
    choice = sound["choices"][0]
    choice["text"] = "."
    choice["logprobs"] = {name: each[-1:] for name, each in choice["logprobs"].items()}
    answers.send(200, json.dumps(sound).encode())


def _other_model(answers: Answers, sound: Sound) -> None:
    answers.send(200, json.dumps({**sound, "model": "another-model"}).encode())


def _status(status: int, message: str, **headers: str) -> Fault:
    body = json.dumps({"error": {"message": message, "code": status}}).encode()
    return lambda answers, sound: answers.send(status, body, **headers)


def _hung(answers: Answers, sound: Sound) -> None:
    time.sleep(_HANGS)
    answers.close_connection = True


def _half(answers: Answers, sound: Sound) -> None:
    body = json.dumps(sound).encode()
    answers.close_connection = True
    answers.send(200, body[: len(body) // 2], Content_Length=str(len(body)))


def _page(answers: Answers, sound: Sound) -> None:
    answers.send(200, _PAGE, "text/html")


def _without_choices(answers: Answers, sound: Sound) -> None:
    answers.send(200, json.dumps({"detail": "the model loads"}).encode())


def _one_answer(answers: Answers, sound: Sound) -> None:
    sound["choices"][0]["message"]["content"] = LONG
    usage = {"prompt_tokens": 3, "completion_tokens": len(LONG.split()), "total_tokens": 70}
    answers.send(200, json.dumps({**sound, "usage": usage}).encode())


_FILTERED = {"finish_reason": "content_filter"}
#: Name -> the fault, whether it meets all items, and whether it ends.
FAULTS: dict[str, tuple[Fault | None, bool, bool]] = {
    "none": (None, False, False),
    "cut": (_changed(content="ri", choice={"finish_reason": "length"}), False, False),
    "empty": (_changed(content=""), False, False),
    "null-with-reasoning": (_changed(content=None, reasoning_content="Let me"), False, False),
    "error-once": (_status(200, "the engine has no room"), False, True),
    "error-always": (_status(200, "the engine has no room"), False, False),
    "no-choices": (_without_choices, False, False),
    "no-index": (_without_index, False, False),
    "no-message": (_without_message, False, False),
    "parts": (_as_parts, False, False),
    "5xx": (_status(500, "the engine broke"), False, False),
    "other-model": (_other_model, False, False),
    "one-answer": (_one_answer, True, False),
    "refusals": (_changed(content="", refusal="I cannot help.", choice=_FILTERED), False, False),
    "refusals-400": (_status(400, "the prompt violates the policy"), False, False),
    "hung": (_hung, False, False),
    "truncated": (_half, False, False),
    "truncated-stream": (lambda a, sound: a.stream(sound, is_whole=False), False, False),
    "html": (_page, False, False),
    "no-logprobs": (_without_logprobs, False, False),
    "no-echo": (_without_echo, False, False),
    "429": (_status(429, "too many requests", Retry_After="25"), False, True),
}


@contextlib.contextmanager
def serving() -> Iterator[FaultyEndpoint]:
    """Serve the endpoint."""
    with FaultyEndpoint() as endpoint:
        threading.Thread(target=endpoint.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
