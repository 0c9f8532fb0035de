"""Translates ``execution.extra_docker_args``, options of ``docker run`` for all containers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from snakeval.config.nemo_launcher.draft import Draft
from snakeval.config.nemo_launcher.where import Where
from snakeval.config.source import Key

_SHORT = {"-v": "--volume", "-e": "--env", "-m": "--memory", "--net": "--network"}
#: Sizes in MiB, by docker's suffix.
_UNITS = {"b": 1 / 2**20, "k": 1 / 2**10, "m": 1, "g": 2**10}
_SIZES = {"--shm-size": "shm_mb", "--memory": "mem_mb"}


def read(draft: Draft, where: Where, value: Any, key: Key) -> None:
    """Write the options into mounts, variables, ``network`` and ``resources``."""
    try:
        words = shlex.split(str(value))
    except ValueError as error:
        draft.refuse(key, f"is not shell text: {str(error).lower()}; correct it")
        return
    for option, text in _options(words):
        known = _take(draft, where, option, text, key)
        if not known:
            draft.refuse(
                key,
                f"{option} is not supported; use mounts, env_vars, `network`, `resources` or "
                "deployment.gpus",
            )


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each option, by its long name, with its value."""
    left = [*words]
    while left:
        word = left.pop(0)
        short = next((s for s in ("-v", "-e", "-m") if word.startswith(s) and word != s), None)
        if short and not word.startswith("--"):
            yield _SHORT[short], word[2:]
            continue
        option, equal, text = word.partition("=")
        yield (
            _SHORT.get(option, option),
            text if equal or not left or left[0].startswith("-") else left.pop(0),
        )


def _take(draft: Draft, where: Where, option: str, text: str, key: Key) -> bool:
    """Translate one option; return whether snakeval has something like it."""
    if option == "--volume" and text.count(":") in (1, 2):
        source, target, *mode = text.split(":")
        for mounts in where.mounts.values():
            mounts.append({"source": source, "target": target, "read_only": mode == ["ro"]})
    elif option == "--env" and text:
        name, equal, value = text.partition("=")
        given = {name: f"lit:{value}" if equal else f"host:{name}"}
        for variables in where.env.values():
            variables.update(draft.variables(given, key))
    elif option == "--network" and text in ("host", "bridge"):
        draft.put(("network",), text, key)
    elif option in _SIZES and (size := re.fullmatch(r"(\d+)([bkmg]?)", text.lower())):
        megabytes = max(1, round(int(size[1]) * _UNITS[size[2] or "b"]))
        draft.put(("resources", _SIZES[option]), megabytes, key)
        where.serving[_SIZES[option]] = (megabytes, key)
    else:
        return False
    return True
