"""Messages of HTTP/1.1 as bytes: heads, bodies, and which headers pass a gateway.

Sources: RFC 9110 (semantics; 7.6.1 hop-by-hop headers, 10.1.1 Expect) and RFC 9112 (HTTP/1.1;
2.2 parsing, 6 message bodies, 7.1 chunks).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Headers = list[tuple[str, str]]

#: Bytes of a head, of a line of chunked coding, and of all trailers.
MAX_HEAD = 64 * 1024
#: Bytes of a body.
MAX_BODY = 1 << 30
#: Headers that concern one connection only (RFC 9110, 7.6.1).
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(r"[\x00\r\n]")
_NO_BODY = frozenset({204, 304})
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
#: How a body ends: after so many bytes (0 and more), with the last chunk, or with the connection.
CHUNKED, UNTIL_CLOSE = -1, -2


class BadMessage(Exception):
    """The bytes are no HTTP/1.1 message, or it is larger than the limits; *status* says which."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Head:
    """The first line of a message in its three parts, and its headers."""

    first: str
    second: str
    third: str
    headers: Headers

    @property
    def version(self) -> str:
        """The HTTP version of a request or a response."""
        return self.first if self.first.startswith("HTTP/") else self.third

    @property
    def persistent(self) -> bool:
        """Whether the connection stays open after this message (RFC 9112, 9.3)."""
        options = tokens(values(self.headers, "connection"))
        if self.version == "HTTP/1.0":
            return "keep-alive" in options
        return "close" not in options


def values(headers: Headers, name: str) -> list[str]:
    """Return all values of a header; *name* is in lower case."""
    return [value for key, value in headers if key.lower() == name]


def value(headers: Headers, name: str) -> str:
    """Return the first value of a header, or an empty text; *name* is in lower case."""
    return next((text for key, text in headers if key.lower() == name), "")


def tokens(texts: Iterable[str]) -> set[str]:
    """Return the members of comma-separated lists in lower case."""
    return {part.strip().lower() for text in texts for part in text.split(",")} - {""}


def end_to_end(headers: Headers) -> Headers:
    """Return the headers that pass a gateway."""
    dropped = HOP_BY_HOP | tokens(values(headers, "connection"))
    return [(name, text) for name, text in headers if name.lower() not in dropped]


def parse_head(raw: bytes) -> Head:
    """Parse a head without its empty line.

    Raises:
        BadMessage: it is no head of HTTP/1.1.
    """
    lines = raw.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) == 2 and parts[0].startswith("HTTP/"):
        parts.append("")
    if len(parts) != 3 or not (parts[0] or parts[2]).strip():
        raise BadMessage(f"no start line: {lines[0][:80]!r}")
    headers = []
    for line in lines[1:]:
        name, colon, text = line.partition(":")
        # Blanks before the colon and continued lines are known ways to smuggle requests.
        if not colon or not _TOKEN.fullmatch(name) or _BAD_VALUE.search(text):
            raise BadMessage(f"no header: {line[:80]!r}")
        headers.append((name, text.strip(" \t")))
    return Head(parts[0], parts[1], parts[2], headers)


def request_body(head: Head) -> int:
    """Return how the body of a request ends (RFC 9112, 6.3).

    Raises:
        BadMessage: two readers could disagree on it.
    """
    codings = values(head.headers, "transfer-encoding")
    lengths = values(head.headers, "content-length")
    if codings:
        if lengths or tokens(codings) != {"chunked"} or head.version != "HTTP/1.1":
            raise BadMessage("a request with this Transfer-Encoding has no certain end")
        return CHUNKED
    return _length(lengths) if lengths else 0


def response_body(head: Head, method: str) -> int:
    """Return how the body of a response to *method* ends (RFC 9112, 6.3).

    Raises:
        BadMessage: the length is no number.
    """
    status = int(head.second)
    if method == "HEAD" or status in _NO_BODY or status < 200:
        return 0
    codings = [
        part.strip().lower()
        for part in ",".join(values(head.headers, "transfer-encoding")).split(",")
        if part.strip()
    ]
    if codings:
        return CHUNKED if codings[-1] == "chunked" else UNTIL_CLOSE
    lengths = values(head.headers, "content-length")
    return _length(lengths) if lengths else UNTIL_CLOSE


def _length(texts: list[str]) -> int:
    found = tokens(texts)
    text = found.pop() if len(found) == 1 else ""
    if not (text.isascii() and text.isdigit()):
        raise BadMessage("Content-Length is no number")
    length = int(text)
    if length > MAX_BODY:
        raise BadMessage("the body is too large", 413)
    return length


class Reader:
    """Takes one message after another out of bytes, as they come.

    Call :meth:`feed` with bytes, :meth:`head` until a head is there, :meth:`expect` with how its
    body ends, and :meth:`take` until :attr:`done`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._chunked = self._until_close = self._trailers = False
        self._total = 0
        #: Whether the body is whole.
        self.done = True

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add bytes of the connection."""
        self._buffer += data

    def head(self) -> Head | None:
        """Return the next head, or None while it is not whole.

        Raises:
            BadMessage: it is no head, or larger than the limit.
        """
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
        if end < 0:
            if len(buffer) > MAX_HEAD:
                raise BadMessage("the head is too large", 431)
            return None
        raw = bytes(buffer[:end])
        del buffer[: end + 4]
        return parse_head(raw)

    def expect(self, ending: int) -> None:
        """Begin a body that ends as :func:`request_body` or :func:`response_body` says."""
        self._chunked, self._until_close = ending == CHUNKED, ending == UNTIL_CLOSE
        self._left, self._total, self._trailers = max(ending, 0), 0, False
        self.done = ending == 0

    def take(self) -> bytes:
        """Return the bytes of the body that are there.

        Raises:
            BadMessage: the chunks are damaged, or the body is larger than the limit.
        """
        if self.done:
            return b""
        if self._chunked:
            piece = self._chunks()
        elif self._until_close:
            piece = bytes(self._buffer)
            self._buffer.clear()
        else:
            piece = bytes(self._buffer[: self._left])
            del self._buffer[: len(piece)]
            self._left -= len(piece)
            self.done = not self._left
        self._total += len(piece)
        if self._total > MAX_BODY:
            raise BadMessage("the body is too large", 413)
        return piece

    def _chunks(self) -> bytes:
        buffer, pieces = self._buffer, []
        while buffer and not self.done:
            if self._left > 2:
                size = min(self._left - 2, len(buffer))
                pieces.append(bytes(buffer[:size]))
                del buffer[:size]
                self._left -= size
            elif self._left:
                if len(buffer) < self._left:
                    break
                if buffer[:2] != b"\r\n":
                    raise BadMessage("a chunk does not end with its length")
                del buffer[:2]
                self._left = 0
            elif not self._line():
                break
        return b"".join(pieces)

    def _line(self) -> bool:
        """Read the line that begins a chunk, or a trailer; return whether it was whole."""
        buffer = self._buffer
        end = buffer.find(b"\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(buffer) >= MAX_HEAD:
                raise BadMessage("a line of the chunked body is too large")
            return False
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        if self._trailers:
            self.done = not line
            return True
        size = line.partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise BadMessage(f"no length of a chunk: {line[:40]!r}")
        self._left = int(size, 16)
        self._trailers = not self._left
        if self._left:
            self._left += 2  # the line end behind the data
        return True

    def close(self) -> bool:
        """Note that the connection ended; return whether the message is whole."""
        if self._until_close:
            self.done = True
        return self.done


def message(first_line: str, headers: Headers, body: bytes = b"") -> bytes:
    """Return the bytes of a message."""
    lines = [first_line, *(f"{name}: {text}" for name, text in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + body


def chunk(piece: bytes) -> bytes:
    """Return a chunk (RFC 9112, 7.1); an empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
