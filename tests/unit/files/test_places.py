"""Tests of snakeval's home."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.files import (
    home,
)


def test_home_is_a_directory_of_the_user_unless_the_environment_sets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", "/elsewhere")
    assert home() == Path("/elsewhere")
    monkeypatch.setenv("SNAKEVAL_HOME", "")
    assert home() == Path.home() / ".snakeval"
