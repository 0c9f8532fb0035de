"""Reads attempts that began before there were events. Remove it after the next release."""

from __future__ import annotations

import re

from snakeval.evaluation.directory import EvaluationDirectory

_RUNTIME = re.compile(rb"^snakeval: runtime: (\w+)", re.MULTILINE)
_HEAD_BYTES = 4 * 1024


def runtime(directory: EvaluationDirectory, attempt: int) -> tuple[str, str]:
    """Return an attempt's runtime and its container's name, as the head of its log has them."""
    try:
        with directory.attempt_log(attempt).open("rb") as file:
            found = _RUNTIME.search(file.read(_HEAD_BYTES))
    except OSError:
        return "", ""
    name = found[1].decode() if found else ""
    return name, directory.container_name if name in ("docker", "podman") else ""
