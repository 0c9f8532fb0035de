"""Finds the checkpoints that a pattern with wildcards describes, in directories or in model ids.

A value of a wildcard is a part of one folder's name, so it never has a slash. A wildcard that
repeats has one value. As in a shell, a wildcard at the beginning of a name finds no hidden folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from snakeval.config.checkpoints import split
from snakeval.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint: its directory or its model id, and the values of the pattern's wildcards."""

    path: str
    values: Mapping[str, str]


def find(pattern: str) -> list[Found]:
    """Return the directories that *pattern* describes, by path; none if no folder is there yet.

    Raises:
        ConfigError: a folder above them cannot be listed.
    """
    parts = pattern.split("/")
    return sorted(_below("", parts, {}), key=lambda found: found.path)


def why_nothing(pattern: str) -> str:
    """Return a sentence for an absolute *pattern* that describes no directory: what there is."""
    parts = pattern.split("/")
    for end in range(len(parts) - 1, 1, -1):
        if there := find("/".join(parts[:end])):
            return f"no directory matches {pattern}: {there[0].path} has no {parts[end]}"
    return f"no directory matches {pattern}: there is no /{parts[1]}"


def match(pattern: str, names: Iterable[str]) -> list[Found]:
    """Return the *names*, such as the model ids of an endpoint, that *pattern* describes."""
    fits = _compiled(pattern, ())
    matches = ((name, fits.fullmatch(name)) for name in sorted({*names}))
    return [Found(name, found.groupdict()) for name, found in matches if found]


def _below(place: str, parts: list[str], values: Mapping[str, str]) -> Iterator[Found]:
    """Yield the checkpoints in the folder *place*, which ends with a slash or is empty."""
    part, rest = parts[0], parts[1:]
    for name, more in _named(place, part, values):
        known = {**values, **more}
        if rest:
            yield from _below(f"{place}{name}/", rest, known)
        elif _is_directory(f"{place}{name}"):
            yield Found(f"{place}{name}", known)


def _named(
    place: str, part: str, values: Mapping[str, str]
) -> Iterable[tuple[str, Mapping[str, str]]]:
    """Return the names in a folder that a part of a pattern describes, and their new values."""
    if len(split(part)) == 1:
        return [(part, {})]
    fits = _compiled(part, tuple(values))
    found = []
    for name in _list(place or "."):
        # The values of a folder above are a prefix, so that the expression can refer to them.
        matched = fits.fullmatch("".join(f"{value}/" for value in values.values()) + name)
        if matched and all(matched[key] == value for key, value in values.items()):
            found.append((name, matched.groupdict()))
    return found


def _list(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(
            f"{place}: cannot be listed ({error.strerror})", hint="correct its permissions"
        ) from None


def _is_directory(path: str) -> bool:
    """Whether a path is a directory, also behind a link. Only directories are checkpoints."""
    return os.path.isdir(path)  # noqa: PTH112  a Path of each of thousands of names is slow


@lru_cache(maxsize=100)
def _compiled(part: str, known: tuple[str, ...]) -> re.Pattern[str]:
    """Return the expression of a part of a pattern, after the values of *known* wildcards."""
    text = "".join(f"(?P<{name}>[^/]+)/" for name in known)
    seen = {*known}
    pieces = split(part)
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            text += re.escape(piece)
        elif piece in seen:
            text += f"(?P={piece})"
        else:
            seen.add(piece)
            first = number == 1 and not pieces[0]
            # A greedy value would take what belongs to the next wildcard.
            text += f"(?P<{piece}>{'(?![.])' if first else ''}[^/]+?)"
    return re.compile(text, re.DOTALL)
