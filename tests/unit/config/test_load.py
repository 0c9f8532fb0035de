"""What `--config` chooses for one command, beside the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config.load import load
from snakeval.errors import ConfigError
from support.configs import VALID, write


@pytest.mark.parametrize("key", ["offline", "ask", "preflight", "check", "update_images"])
def test_a_switch_is_true_or_false(tmp_path: Path, key: str) -> None:
    file = write(tmp_path, VALID)
    with pytest.raises(ConfigError) as refused:
        load([file], {key: "maybe"})
    assert str(refused.value) == f"--config {key}: 'maybe' is neither true nor false; write one"
    for value in (True, False):
        assert getattr(load([file], {key: value})[1], key) is value
