"""Says in one line why a harness failed: what a tired person needs to see first."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses import base_url
from snakeval.runtimes import Outcome

_TAIL_BYTES = 64 * 1024
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: A refused request says more than the last line: lm-evaluation-harness ends with "Session is
#: closed" whatever the endpoint answered.
_REFUSED = re.compile(r"(API request failed.*?Status code: \d+.*|.*\b[45]\d\d Client Error.*)$")
#: What the init of docker (tini) and of podman (catatonit) says of an image without a shell.
_NO_SHELL = re.compile(r"\[FATAL tini.*exec sh failed|ERROR \(catatonit.*failed to exec pid1")
#: How srun tells that a task of its step has ended, after all that the task said itself.
_END_OF_A_STEP = re.compile(r"(srun|slurmstepd\S*): error: (.*: tasks? [\d,-]+: |\*\*\* STEP )")
#: The last line of a Python traceback, or a line that calls itself an error.
_ERROR = re.compile(
    r"^(?:[\w.]*(?:Error|Exception|Exit|Interrupt)\b.*|.*\b(?:ERROR|FATAL|(?:[Ee]rror|[Ff]atal):).*)$"
)


def failure_reason(evaluation: Evaluation, outcome: Outcome, log: Path, url: str = "") -> str:
    """Return the reason of a non-zero exit: what the harness said, and how the endpoint is.

    *url* is where the model was served, if we served it.
    """
    if outcome.out_of_memory:
        limit = evaluation.transport.resources.get("mem_mb")
        fix = f"raise resources.mem_mb (now {limit})" if limit else "give it more memory"
        return f"out of memory: the kernel killed the harness; {fix}"
    if no_shell := without_shell(evaluation.identity.image, log):
        return no_shell
    parts = [f"the harness exited with {outcome.exit_code}"]
    if outcome.exit_code == 137:
        parts = ["the harness was killed (SIGKILL), perhaps for want of memory"]
    elif outcome.exit_code == 127:
        parts = ["the harness's command was not found in its image (exit code 127)"]
    if said := last_error(log):
        parts.append(said)
    # Of a model that somebody else serves for us only the path is known.
    known = url or "//" in evaluation.identity.endpoint_url
    if known and (wrong := endpoint_trouble(evaluation, url)):
        parts.append(wrong)
    return "; ".join(parts)


def without_shell(image: str, log: Path) -> str:
    """Say that *image* has no shell, if *log* does."""
    if not any(_NO_SHELL.search(line) for line in tail(log)):
        return ""
    return (
        f"image {image} has no `sh`, under which snakeval runs it; add one to it, or name another "
        "image"
    )


def tail(log: Path) -> list[str]:
    """Return the last lines of *log* that are not empty and not ours, without colours.

    Nor Slurm's: that a container which is a step has ended is not why.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [_ANSI.sub("", line).strip() for line in text.replace("\r", "\n").splitlines()]
    return [
        line
        for line in lines
        if line and not line.startswith("snakeval: ") and not _END_OF_A_STEP.match(line)
    ]


def last_error(log: Path) -> str:
    """Return the last line of *log* that reads like an error, or its last line."""
    lines = tail(log)
    refused = [match[1] for line in lines if (match := _REFUSED.search(line))]
    errors = [line for line in lines if _ERROR.match(line)]
    return (refused or errors or lines or [""])[-1][:300]


def endpoint_trouble(evaluation: Evaluation, url: str = "", timeout: float = 5.0) -> str:
    """Ask the endpoint for its list of models; return what is wrong with it, or nothing.

    Only asked after a failure: some endpoints have no such list and are well all the same, so
    just refusals count.
    """
    base = base_url((url or evaluation.identity.endpoint_url).partition("?")[0])
    request = urllib.request.Request(f"{base}/models")
    key_name = evaluation.transport.api_key_name
    key = os.environ.get(key_name, "") if key_name else ""
    if key and key.isprintable() and key.isascii():
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return ""
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            which = f"the key in {key_name}" if key_name else "no key (set api_key_name)"
            return f"the endpoint {base} refuses {which} (HTTP {error.code})"
        if error.code == 429 or error.code >= 500:
            return f"the endpoint {base} answers HTTP {error.code}"
        return ""
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        return f"the endpoint {base} cannot be reached ({why})"
