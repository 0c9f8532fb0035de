"""No value of a secret stays in the log of a container."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

import pytest

from snakeval.runtimes.secrets_in_logs import blot, blotting, secrets_of
from snakeval.runtimes.spec import ContainerSpec
from support.limits import HUNG

KEY = "sk-very-secret-0123456789"


def spec(monkeypatch: pytest.MonkeyPatch, **variables: str) -> ContainerSpec:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return ContainerSpec("n", "", ("true",), "", secrets={name: name for name in variables})


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("MY_KEY", KEY, True),
        ("HF_TOKEN", "correcthorse", True),
        ("LOGIN", "abc123def456ghi789", True),
        ("API_KEY", "EMPTY", False),
        ("HF_HOME", "/data/cache/of-2026", False),
        ("HTTP_PROXY", "http://proxy.example:3128", False),
        ("OMP_NUM_THREADS", "12345678901234567", False),
    ],
)
def test_secrets_are_known_by_their_names_or_their_form(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_secret: bool
) -> None:
    assert secrets_of(spec(monkeypatch, **{name: value})) == (
        {value.encode()} if is_secret else set()
    )


def test_a_secret_by_another_name_in_the_container_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "correcthorse")
    made = ContainerSpec(
        "n", "", ("true",), "", secrets={"LOGIN": "MY_KEY", "UNSET": "NO_SUCH_KEY"}
    )
    assert secrets_of(made) == {b"correcthorse"}


def test_a_value_in_two_parts_is_found_by_the_next_look(tmp_path: Path) -> None:
    log = tmp_path / "log"
    text = f"Authorization: Bearer {KEY}, again {KEY}."
    log.write_text(text[:30])
    file = os.open(log, os.O_RDWR)
    try:
        place = blot(file, {KEY.encode()})
        with log.open("a") as more:
            more.write(text[30:])
        blot(file, {KEY.encode()}, place)
        assert log.read_text() == text.replace(KEY, "*" * len(KEY))
        assert blot(file, set(), 7) == 7
    finally:
        os.close(file)


def test_a_long_log_is_searched_in_blocks(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes((b"x" * ((1 << 20) - 10) + KEY.encode()) * 3)
    file = os.open(log, os.O_RDWR)
    blot(file, {KEY.encode(), KEY[:12].encode()})
    os.close(file)
    assert KEY[:12].encode() not in log.read_bytes()


def test_a_log_is_blotted_while_it_grows_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("a+b") as log:
        log.write(b"=== before\n")
        with blotting(spec(monkeypatch, MY_KEY=KEY), log, every=0.01):
            log.write(f"first {KEY}\n".encode())
            log.flush()
            until = time.monotonic() + HUNG
            while KEY in (tmp_path / "log").read_text():
                assert time.monotonic() < until, "the growing log keeps its secret"
                time.sleep(0.01)
            log.write(f"last {KEY}\n".encode())
    stars = "*" * len(KEY)
    assert (tmp_path / "log").read_text() == f"=== before\nfirst {stars}\nlast {stars}\n"


def test_an_error_leaves_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(log: IO[bytes]) -> None:
        with blotting(spec(monkeypatch, MY_KEY=KEY), log):
            log.write(KEY.encode())
            raise ValueError("the harness cannot start")

    with (tmp_path / "log").open("a+b") as log:
        with pytest.raises(ValueError, match="cannot start"):
            fail(log)
        log.flush()
    assert (tmp_path / "log").read_text() == "*" * len(KEY)
