"""The configuration of a working directory where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config.compose import compose
from snakeval.config.usual import usual
from snakeval.config.yaml_file import read
from snakeval.errors import ConfigError
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


@pytest.mark.parametrize("name", ["evaluation.yaml", "config/config.yaml"])
def test_a_link_to_a_missing_file_is_reported_and_not_skipped(tmp_path: Path, name: str) -> None:
    (tmp_path / "config").mkdir()
    link = tmp_path / name
    link.symlink_to("moved.yaml")
    assert usual(tmp_path) == link
    sentence = f"{link}: is a link to moved.yaml, which does not exist; correct the link"
    for attempt in (lambda: compose(link.parent, link.name), lambda: read(link)):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert str(caught.value) == sentence
