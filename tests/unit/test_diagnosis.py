"""The one line that says why a harness failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.diagnosis import endpoint_trouble, failure_reason, last_error
from snakeval.matrix import expand
from snakeval.runtimes import Outcome
from support.configs import VALID, changed, config

ENDED = "snakeval: the harness exited with 1 after 3.0 s\n"


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no split\n',
            "ValueError: no split",
        ),
        ("step 1\nERROR: out of quota\ncleaning up\n", "ERROR: out of quota"),
        ("only\nthis\n", "this"),
        ("\x1b[31mfatal: red\x1b[0m\n\n", "fatal: red"),
        ("10%\r20%\rRuntimeError: at 20%\n", "RuntimeError: at 20%"),
        (
            "API request failed! Status code: 401, {'error': 'no key'}\n"
            "RuntimeError: Session is closed\n",
            "API request failed! Status code: 401, {'error': 'no key'}",
        ),
        ("", ""),
    ],
)
def test_the_line_that_matters_is_found(tmp_path: Path, log: str, line: str) -> None:
    path = tmp_path / "log"
    path.write_text(f"{log}{ENDED}")
    assert last_error(path) == line


def test_out_of_memory_says_what_to_raise(tmp_path: Path) -> None:
    (made,) = expand(config(tmp_path, changed("resources", "mem_mb", to=100)))
    reason = failure_reason(made, Outcome(137, out_of_memory=True), tmp_path / "log")
    assert reason == (
        "out of memory: the kernel killed the harness; raise resources.mem_mb (now 100)"
    )


def test_an_endpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1"
    content = VALID | changed("models", "m", "endpoint", "url", to=url)
    (made,) = expand(config(tmp_path, content))
    assert endpoint_trouble(made).startswith(f"the endpoint {url} cannot be reached (")
