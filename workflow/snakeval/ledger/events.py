"""Streams of server-sent events: where an answer ends, and what it contains.

Source: WHATWG HTML, "Server-sent events", parsing of an event stream: lines end with CR LF, LF or
CR; ``data`` lines of one event are joined; an empty line ends an event; a colon begins a comment.
"""

from __future__ import annotations

import json
from typing import Any

#: The events that end an answer: OpenAI's chat and completions send ``[DONE]``, its Responses
#: route and others name the last event.
DONE = "[DONE]"
LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "message_stop"})
ERROR_EVENTS = frozenset({"error", "response.failed"})


class Events:
    """Follows a stream, piece by piece.

    Attributes:
        begun: a whole event with data came.
        ended: the event that ends the answer came.
        error: the data of an event that reports an error.
        chunks: the data of all events that are JSON objects, in their order.
    """

    def __init__(self) -> None:
        self.begun = self.ended = False
        self.error: dict[str, Any] | None = None
        self.chunks: list[dict[str, Any]] = []
        self._rest = b""
        self._data: list[str] = []
        self._type = ""

    def feed(self, piece: bytes) -> None:
        """Add bytes of the stream, without any content coding."""
        text = self._rest + piece
        # A CR at the end may be half of a CR LF.
        held = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + held
        for line in lines:
            self._line(line.decode("utf-8", "replace"))

    def close(self) -> None:
        """Note the end of the stream: an event without its empty line counts, as clients do it."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        if rest:
            self._line(rest.decode("utf-8", "replace"))
        self._dispatch()

    def _line(self, line: str) -> None:
        if not line:
            self._dispatch()
            return
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "data":
            self._data.append(value)
            # Clients stop here, without the empty line.
            if value.strip() == DONE:
                self.ended = self.begun = True
        elif name == "event":
            self._type = value

    def _dispatch(self) -> None:
        data, kind = "\n".join(self._data), self._type
        self._data, self._type = [], ""
        if not data:
            return
        self.begun = True
        if data.strip() == DONE:
            return
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(chunk, dict):
            return
        kind = kind or str(chunk.get("type", ""))
        if chunk.get("error") or kind in ERROR_EVENTS:
            self.error = chunk
        self.ended = self.ended or kind in LAST_EVENTS
        self.chunks.append(chunk)
