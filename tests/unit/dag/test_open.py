"""The checks of plain `snakemake`, which asks its executor where secrets are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from snakeval.dag.open import _check
from snakeval.errors import ConfigError
from support.configs import changed
from support.invocations import invocation
from support.workspace import REPOSITORY

LEPTON = str(REPOSITORY / "profiles" / "lepton")
LOCAL = str(REPOSITORY / "profiles" / "local")


@pytest.mark.parametrize("words", [["--profile", LEPTON], ["--executor", "lepton", "-j", "1"]])
def test_a_variable_that_names_a_secret_of_the_workspace_may_be_unset_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    opened = invocation(tmp_path, changed("models", "m", "endpoint", "api_key_name", to="MY_KEY"))
    monkeypatch.setattr(sys, "argv", ["snakemake", *words])
    _check(opened, True)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--profile", LOCAL])
    with pytest.raises(ConfigError, match="MY_KEY is not set; export it"):
        _check(opened, True)


def test_other_problems_are_errors_on_lepton_also(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    opened = invocation(tmp_path, content, output_dir=str(tmp_path / "c.yaml" / "out"))
    monkeypatch.setattr(sys, "argv", ["snakemake", "--profile", LEPTON])
    with pytest.raises(ConfigError) as refused:
        _check(opened, True)
    assert "MY_KEY" not in str(refused.value)
    assert "c.yaml is a file" in str(refused.value)
