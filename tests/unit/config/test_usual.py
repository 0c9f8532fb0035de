"""The configuration of a working directory where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config.usual import usual
from support.configs import VALID, write


@pytest.mark.parametrize("content", ["models: {}\nbenchmarks: {}\n", "models: ["])
def test_the_nearest_name_wins(tmp_path: Path, content: str) -> None:
    assert usual(tmp_path) is None
    (tmp_path / "config").mkdir()
    for name in ("config/config.yaml", "snakeval.yaml", "evaluation.yaml"):
        write(tmp_path, content, name)
        assert usual(tmp_path) == tmp_path / name


def test_the_configuration_of_another_workflow_is_none(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    write(tmp_path, {"samples": "samples.tsv", "models": VALID["models"]}, "config/config.yaml")
    assert usual(tmp_path) is None
