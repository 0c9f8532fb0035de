"""Parses the notations of settings and resources: environment, secrets, mounts, files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from snakemake_executor_plugin_lepton.errors import TaskError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume of the service in a job's container."""

    source: str  #: node-local, or node-nfs:VOLUME
    path: str  #: the directory in the volume, from its root
    mount_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file or directory on this machine, and its absolute path in the job's container."""

    local: Path
    remote: PurePosixPath


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files come back if a transport has no room for all; shell patterns of their paths.

    Without patterns of the files that count, all files count.
    """

    first: tuple[str, ...] = ()  #: the job fails if these have no room
    never: tuple[str, ...] = ()  #: of a finished job

    @classmethod
    def joined(cls, choices: Iterable[Choice]) -> Choice:
        """Return the choice of several jobs in one."""
        all_ = list(choices)
        return cls(
            tuple(pattern for each in all_ for pattern in each.first),
            tuple(pattern for each in all_ for pattern in each.never),
        )


#: The text of a resource or a setting, or the same as data from a file.
Text = str | Mapping[str, str] | None


def environment(text: Text, origin: str) -> dict[str, str]:
    """Parse ``NAME=value …``; *origin* is the name to use in an error."""
    result = {}
    for word in _words(text, origin):
        name, equals, value = word.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise TaskError(f"{origin}: {word!r} is not NAME=value")
        result[name] = value
    return result


def secrets(text: Text, origin: str) -> dict[str, str]:
    """Parse ``NAME …`` or ``NAME=secret-name …`` into a map from variables to secrets."""
    result = {}
    for word in _words(text, origin):
        name, _, secret = word.partition("=")
        if not _NAME.fullmatch(name):
            raise TaskError(f"{origin}: {word!r} is not NAME or NAME=secret-name")
        result[name] = secret or name
    return result


def mounts(text: str | None, origin: str) -> tuple[Mount, ...]:
    """Parse ``SOURCE[/sub/path]=/mount/path[:ro] …``."""
    return tuple(_mount(word, origin) for word in _words(text, origin))


def _mount(word: str, origin: str) -> Mount:
    volume, equals, target = word.partition("=")
    target, colon, mode = target.partition(":")
    source, _, path = volume.partition("/")
    good = equals and target.startswith("/") and (not colon or mode == "ro")
    if not good or not re.fullmatch(r"node-local|node-[a-z]+:[^:]+", source):
        raise TaskError(
            f"{origin}: {word!r} is not SOURCE[/sub/path]=/mount/path[:ro] with a SOURCE like "
            "node-local or node-nfs:VOLUME"
        )
    return Mount(source, "/" + path.strip("/"), target.rstrip("/"), bool(colon))


def transfers(text: Text, origin: str) -> tuple[Transfer, ...]:
    """Parse ``PATH=/container/path …``."""
    result = []
    for word in _words(text, origin):
        local, equals, remote = word.rpartition("=")
        if not equals or not local or not remote.startswith("/"):
            raise TaskError(f"{origin}: {word!r} is not PATH=/container/path")
        result.append(Transfer(Path(local), PurePosixPath(remote)))
    return tuple(result)


_PRIORITY = re.compile(r"(low|mid|medium|high)?-?(\d)?(000)?")
_DIGITS = {"low": "123", "mid": "456", "high": "789"}


NO_PRIORITY = (
    "is no priority; choose low, mid, high, a number from 1 to 9, or a word of the "
    "service, such as mid-4000"
)


def priority(text: str | None, origin: str) -> str | None:
    """Return the service's word of a priority: high, high-8, 8 and high-8000 are as good."""
    if not text:
        return None
    if word := priority_word(str(text)):
        return word
    raise TaskError(f"{origin}: {text!r} {NO_PRIORITY}")


def priority_word(text: str) -> str | None:
    """Return the service's word of a priority, or None if *text* is no priority."""
    found = _PRIORITY.fullmatch(text.strip().lower())
    word, digit = (found[1], found[2]) if found else (None, None)
    word = "mid" if word == "medium" else word
    if word is None and digit:
        word = next((name for name, digits in _DIGITS.items() if digit in digits), None)
    if word and (digit or _DIGITS[word][0]) in _DIGITS[word]:
        return f"{word}-{digit or _DIGITS[word][0]}000"
    return None


def names(text: str | None) -> tuple[str, ...]:
    """Parse names separated by blanks."""
    return tuple((text or "").split())


def _words(text: Text, origin: str) -> list[str]:
    if isinstance(text, Mapping):
        return [f"{name}={value}" for name, value in text.items()]
    try:
        return shlex.split(text or "")
    except ValueError as error:
        raise TaskError(f"{origin}: {error} in {text!r}") from None
