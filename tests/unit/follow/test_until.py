from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from snakeval.follow.until import Until

NOW = datetime(2026, 11, 30, 8, 0, 0)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("12h", datetime(2026, 11, 30, 20, 0)),
        ("90s", datetime(2026, 11, 30, 8, 1, 30)),
        ("07:30", datetime(2026, 12, 1, 7, 30)),
        ("18:00", datetime(2026, 11, 30, 18, 0)),
        ("2026-12-24T18:00", datetime(2026, 12, 24, 18, 0)),
    ],
)
def test_time_or_duration(text: str, end: datetime) -> None:
    found = Until.read(text, None, NOW)
    assert found == Until(end.timestamp())
    assert found.is_over(end.timestamp())
    assert not found.is_over(end.timestamp() - 1)


def test_step() -> None:
    found = Until.read("20000", None, NOW)
    assert found == Until(step=Decimal(20000))
    assert found.is_last("20000")
    assert found.is_last("020001")
    assert not found.is_last("19999")
    assert not found.is_last("final")
    assert not found.is_over(1e12)


def test_file(tmp_path: Path) -> None:
    found = Until.read("", tmp_path / "END", NOW)
    assert not found.has_file
    (tmp_path / "END").touch()
    assert found.has_file
    assert not Until().has_file
    assert not Until().is_last("1")


@pytest.mark.parametrize("text", ["soon", "25:99", "12 parsecs", "2026-13-01", "9999999999d"])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="no time, duration or step"):
        Until.read(text, None, NOW)
