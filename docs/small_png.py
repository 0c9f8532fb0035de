"""Makes the pictures of the docs small: a PNG with a palette of 256 colours."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

#: Colours of a palette, and how many of them are the most used ones.
_MOST, _USED = 256, 200
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def small(png: bytes) -> bytes:
    """Return a picture of 8 bits in RGB, as Chromium writes it, with a palette."""
    parts = list(_chunks(png))
    width, height = struct.unpack(">II", dict(parts)[b"IHDR"][:8])
    data = zlib.decompress(b"".join(content for name, content in parts if name == b"IDAT"))
    pixels = _pixels(data, width, height).reshape(-1, 3).astype(np.int32)
    codes = pixels @ np.array([1 << 16, 1 << 8, 1])
    colours, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    wanted = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)
    palette = _palette(wanted[np.argsort(-counts)])
    nearest = np.array([np.abs(palette - each).sum(axis=1).argmin() for each in wanted])
    rows = nearest[places.ravel()].astype(np.uint8).reshape(height, width)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    made = ((b"IHDR", header), (b"PLTE", palette.astype(np.uint8).tobytes()))
    written = (*made, (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(*each) for each in written)


def _palette(colours: np.ndarray) -> np.ndarray:
    """Return the most used of *colours*, which come first, and the rare ones that differ most."""
    palette, rest = colours[:_USED], colours[_USED:]
    while len(rest) and len(palette) < _MOST:
        distances = np.abs(rest[:, None] - palette[None]).sum(axis=2).min(axis=1)
        palette = np.concatenate([palette, rest[distances.argmax()][None]])
    return palette


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_SIGNATURE)
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        place += 12 + size


def _chunk(name: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + crc


def _pixels(data: bytes, width: int, height: int) -> np.ndarray:
    """Undo the filters of the rows: https://www.w3.org/TR/png-3/#9Filters."""
    size = 3 * width
    before = bytearray(size)
    rows = []
    for start in range(0, height * (size + 1), size + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + size])
        for n in range(size if kind else 0):
            left, up = (row[n - 3], before[n]) if n > 2 else (0, before[n])
            corner = before[n - 3] if n > 2 else 0
            row[n] = (row[n] + _guess(kind, left, up, corner)) & 255
        rows.append(np.frombuffer(bytes(row), np.uint8))
        before = row
    return np.stack(rows)


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind < 4:
        return (0, left, up, (left + up) // 2)[kind]
    straight = left + up - corner
    return min((left, up, corner), key=lambda each: abs(straight - each))
