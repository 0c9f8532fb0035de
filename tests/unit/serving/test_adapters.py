"""What a server must know of a LoRA adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakeval.serving import adapters
from support.checkpoints import safetensors


def adapter(path: Path, config: object = None, **tensors: bytes) -> Path:
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps(config or {"r": 16}))
    named = {f"layer.lora_{name}.weight": content for name, content in tensors.items()}
    (path / "adapter_model.safetensors").write_bytes(safetensors(named))
    return path


@pytest.mark.parametrize(
    ("config", "rank"),
    [
        ({"r": 16}, 16),
        ({"r": 12}, 16),
        ({"r": 8, "rank_pattern": {"q_proj": 64}}, 64),
        ({"r": 1000}, 1000),
        ({"peft_type": "LORA"}, 8),
        ({"r": "many"}, 8),
        (["no object"], 8),
    ],
)
def test_a_rank_is_one_that_a_server_accepts(tmp_path: Path, config: object, rank: int) -> None:
    assert adapters.rank(adapter(tmp_path / "a", config)) == rank


def test_an_absent_adapter_has_the_least_rank(tmp_path: Path) -> None:
    assert adapters.rank(tmp_path / "none") == 8


def test_an_adapter_before_its_training_changes_nothing(tmp_path: Path) -> None:
    zero = adapter(tmp_path / "zero", A=b"random", B=b"\0" * 9)
    trained = adapter(tmp_path / "trained", A=b"random", B=b"\0\0\1")
    assert adapters.changes_nothing(zero)
    assert not adapters.changes_nothing(trained)


def test_an_adapter_that_cannot_be_read_may_change_something(tmp_path: Path) -> None:
    half = adapter(tmp_path / "half", B=b"\0" * 9)
    file = half / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    only_a = adapter(tmp_path / "only", A=b"\0")
    assert not any(map(adapters.changes_nothing, (half, only_a, tmp_path / "none")))
