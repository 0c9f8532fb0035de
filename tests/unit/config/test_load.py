"""What `--config` chooses for one command, beside the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config.load import load, load_saved
from snakeval.errors import ConfigError
from support.configs import MODEL, VALID, write


@pytest.mark.parametrize("key", ["offline", "ask", "preflight", "check", "update_images"])
def test_a_switch_is_true_or_false(tmp_path: Path, key: str) -> None:
    file = write(tmp_path, VALID)
    with pytest.raises(ConfigError) as refused:
        load([file], {key: "maybe"})
    assert str(refused.value) == f"--config {key}: 'maybe' is neither true nor false; write one"
    for value in (True, False):
        assert getattr(load([file], {key: value})[1], key) is value


def test_a_job_reads_the_checkpoints_of_a_chosen_series_from_the_saved_file(tmp_path: Path) -> None:
    members = {
        f"run7@{step}": MODEL
        | {"member": {"series": "run7", "values": {"step": step}, "axis": "step"}}
        for step in ("2", "1")
    }
    file = write(tmp_path, VALID | {"models": {"m": MODEL, **members}})
    _, selection = load_saved(file, {"models": "run7"})
    assert selection.models == ("run7@2", "run7@1")
    assert load([file], {"models": "run7,m"})[1].models == ("run7@2", "run7@1", "m")
