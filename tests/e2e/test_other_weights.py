"""Other weights under the name of a model: nothing that the earlier ones answered is used."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.limits import HUNG
from support.served import Served, wait_for


@pytest.mark.parametrize(
    ("runtime", "changed"),
    [
        ("process", False),
        ("process", True),
        pytest.param("docker", True, marks=pytest.mark.images),
    ],
)
def test_answers_of_other_weights_are_not_replayed(
    tmp_path: Path, runtime: str, changed: bool
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"first")
    served = Served(tmp_path, runtime, "careful", checkpoint_path=str(weights))
    served.asks("b", seed=1, count=4, stays_at=2)
    head = served.work.start()
    wait_for(lambda: served.recorded.answers.total() == 2, "nothing is asked")
    os.killpg(head.pid, signal.SIGINT)  # as a terminal does
    head.communicate(timeout=HUNG)
    if changed:
        (weights / "model.safetensors").write_bytes(b"other")
    served.go()
    done = served.work.snakemake()
    assert done.exit_code == 0, done.output
    assert served.scores() == {"careful/b": 1}
    asked = sorted(served.recorded.answers.values())
    assert asked == ([1, 1, 2, 2] if changed else [1, 1, 1, 1])
