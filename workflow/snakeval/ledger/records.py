"""The format of a journal's files: a header, then records.

The header is a magic line, a length (u32) and JSON with the answer identity. A record is::

    mark | length of payload (u32) | CRC-32 of the rest (u32) | key (16 bytes) | occurrence (u32) | payload

The payload is compressed by zlib: length of meta (u32), meta (JSON), length of request (u32),
request, response. Numbers are little-endian. Four marks exist:

- ``R``: an answer; a later one of the same key and occurrence replaces it.
- ``L``: an answer of which only the latest counts, for example a list of models.
- ``X``: the endpoint refuses this request whatever its load, so each equal one gets this answer. Its
  occurrence is always ``REFUSAL``.
- ``D``: the answer of this key and occurrence was dropped. It has no payload.

A reader reads a file up to the first record that is torn or damaged.
"""  # noqa: E501

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MAGIC = b"snakeval ledger 1\n"
ANSWER, LATEST, REFUSED, DROPPED = b"R", b"L", b"X", b"D"
#: The occurrence of a refusal, which belongs to all equal requests.
REFUSAL = 2**32 - 1
_MARKS = frozenset({ANSWER, LATEST, REFUSED, DROPPED})
_HEAD = struct.Struct("<cII16sI")
_LENGTH = struct.Struct("<I")
#: The CRC covers key and occurrence besides the payload.
_COVERED = struct.Struct("<16sI")
#: Bytes that a reader reads at once.
_WINDOW = 1 << 22


@dataclass(frozen=True)
class Answer:
    """A request and its answer.

    Attributes:
        meta: ``status``, ``reason``, ``headers`` (pairs of the response), ``method``, ``path``,
            ``time`` and measures of the exchange, as JSON data.
        request: the body of the request, or nothing if the journal holds only its hash.
        response: the body as the harness receives it.
    """

    meta: dict[str, Any]
    request: bytes
    response: bytes


def header(identity: str, account: str = "", lenders: Sequence[str] = ()) -> bytes:
    """Return the beginning of a file of *identity*.

    *account* pays its answers, if one does. *lenders* are the journals whose answers it copies.
    """
    data: dict[str, Any] = {"identity": identity}
    data |= {"account": account} if account else {}
    data |= {"lenders": list(lenders)} if lenders else {}
    text = json.dumps(data).encode()
    return MAGIC + _LENGTH.pack(len(text)) + text


def read_header(file: int) -> tuple[str, int]:
    """Return the identity of a file and where its records begin; ``("", 0)`` for other files.

    Raises:
        OSError: the file cannot be read.
    """
    data, start = _header(file)
    return str(data["identity"]) if start else "", start


def read_account(file: int) -> tuple[str, int]:
    """Return the account that pays the answers of a file, and where its records begin.

    Raises:
        OSError: the file cannot be read.
    """
    data, start = _header(file)
    return str(data.get("account", "")), start


def read_lenders(file: int) -> set[str]:
    """Return the journals whose answers a file copies.

    Raises:
        OSError: the file cannot be read.
    """
    lenders = _header(file)[0].get("lenders")
    return set(map(str, lenders)) if isinstance(lenders, list) else set()


def _header(file: int) -> tuple[dict[str, Any], int]:
    begin = os.pread(file, len(MAGIC) + _LENGTH.size, 0)
    if len(begin) < len(MAGIC) + _LENGTH.size or not begin.startswith(MAGIC):
        return {}, 0
    (length,) = _LENGTH.unpack_from(begin, len(MAGIC))
    text = os.pread(file, min(length, _WINDOW), len(begin))
    try:
        data = json.loads(text)
    except ValueError:
        return {}, 0
    is_journal = isinstance(data, dict) and "identity" in data
    return (data, len(begin) + length) if is_journal else ({}, 0)


def pack(mark: bytes, key: bytes, occurrence: int, answer: Answer) -> bytes:
    """Return the record of an answer."""
    meta = json.dumps(answer.meta, separators=(",", ":")).encode()
    sizes = _LENGTH.pack(len(meta)), _LENGTH.pack(len(answer.request))
    plain = b"".join((sizes[0], meta, sizes[1], answer.request, answer.response))
    return _record(mark, key, occurrence, zlib.compress(plain, 1))


def pack_dropped(key: bytes, occurrence: int) -> bytes:
    """Return the record that drops an answer."""
    return _record(DROPPED, key, occurrence, b"")


def moved(file: int, offset: int, occurrence: int | None = None) -> bytes:
    """Return the record at *offset*, which may be of another *occurrence* in another file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is shorter now.
    """
    mark, length, _, key, known = _HEAD.unpack(os.pread(file, _HEAD.size, offset))
    payload = os.pread(file, length, offset + _HEAD.size)
    if len(payload) < length:
        raise ValueError(f"the record at {offset} is damaged (it ends early)")
    return _record(mark, key, known if occurrence is None else occurrence, payload)


def _record(mark: bytes, key: bytes, occurrence: int, payload: bytes) -> bytes:
    check = zlib.crc32(payload, zlib.crc32(_COVERED.pack(key, occurrence)))
    return _HEAD.pack(mark, len(payload), check, key, occurrence) + payload


def scan(file: int, start: int) -> Iterator[tuple[bytes, bytes, int, int]]:
    """Yield mark, key, occurrence and offset of each record that checks.

    The function reads through a window of fixed size, so memory does not grow with the file, and a
    file that another process shortens is only shorter.

    Raises:
        OSError: the file cannot be read.
    """
    head, unpack_head, crc = _HEAD.size, _HEAD.unpack_from, zlib.crc32
    covered = head - _COVERED.size
    base, want = start, _WINDOW
    while True:
        window = os.pread(file, want, base)
        view, size, at = memoryview(window), len(window), 0
        want = _WINDOW
        while at + head <= size:
            mark, length, check, key, occurrence = unpack_head(view, at)
            end = at + head + length
            if end > size:
                want = max(want, end - at)
                break
            if crc(view[at + covered : end]) != check or mark not in _MARKS:
                return
            yield mark, key, occurrence, base + at
            at = end
        # No record was whole: a torn end, or a record larger than the window.
        if at == 0 and (want <= size or base + want > os.fstat(file).st_size):
            return
        base += at


def read(file: int, offset: int) -> Answer:
    """Return the answer in the record at *offset*.

    Raises:
        OSError: the file cannot be read.
        ValueError: the record is damaged.
    """
    begin = os.pread(file, 1 << 14, offset)
    _, length, _, _, _ = _HEAD.unpack_from(begin)
    payload = begin[_HEAD.size : _HEAD.size + length]
    if len(payload) < length:
        rest = os.pread(file, length - len(payload), offset + _HEAD.size + len(payload))
        payload += rest
    try:
        plain = zlib.decompress(payload)
    except zlib.error as error:
        raise ValueError(f"the record at {offset} is damaged ({error})") from None
    (size,) = _LENGTH.unpack_from(plain)
    at = _LENGTH.size + size
    meta = json.loads(plain[_LENGTH.size : at])
    (size,) = _LENGTH.unpack_from(plain, at)
    at += _LENGTH.size
    return Answer(meta, plain[at : at + size], plain[at + size :])
