"""A checkpoint that was deleted has a reason, and a way to its results."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from snakeval.config.load import load
from snakeval.errors import ConfigError
from snakeval.series.load import Expansion
from support.training import Training


def test_a_name_of_a_deleted_checkpoint_has_the_time_and_its_results(tmp_path: Path) -> None:
    train = Training(tmp_path)
    train.write(s100="a", s200="b")
    train.start()
    shutil.rmtree(train.step(100))

    def error() -> str:
        with pytest.raises(ConfigError) as raised:
            load(
                [tmp_path / "c.yaml"],
                {"models": "run7@100", "output_dir": str(tmp_path)},
                Expansion(False, clock=(4e9).__float__),
            )
        return str(raised.value)

    lost = f"--config models: 'run7@100' is left out: its checkpoint {train.step(100)} is gone"
    results = "`snakeval results {}/run7@100` shows its finished results"
    assert error() == f"{lost}; {results.format(train.run.id)}"
    train.start()
    since = r" since \d{4}-\d\d-\d\d \d\d:\d\d; "
    assert re.fullmatch(re.escape(lost) + since + re.escape(results.format(train.run.id)), error())
