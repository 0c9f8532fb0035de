"""A command looks at the checkpoints that it plans, and a start hashes them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from snakeval.serving import weights
from support.training import Training


@pytest.fixture
def train(tmp_path: Path) -> Training:
    return Training(tmp_path)


def test_a_checkpoint_that_changes_or_disappears_meanwhile_ends_no_start(
    train: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.write(s100="a", s200="b", s300="c", s400="d", s500="e")
    config = train.config()
    shutil.rmtree(train.step(100))
    real = weights.weigh

    def weigh(place: Path, **keys: Any) -> str:
        found = real(place, **keys)
        if place.name == "step-200":
            train.write(s200="changed")
        if place.name == "step-300":
            raise ConfigError(f"{place}/model.safetensors: changes while it is read")
        if place.name == "step-400":
            shutil.rmtree(place)
            raise ConfigError(f"{place}: cannot be read (No such file or directory)")
        return found

    monkeypatch.setattr(weights, "weigh", weigh)
    found = train.settle(config=config)
    assert {item.model: item.reason for item in found.left_out} == {
        "run7@100": "gone",
        "run7@200": "not settled yet: its files changed while a start read them",
        "run7@300": "not settled yet: changes while it is read",
        "run7@400": "gone",
    }
    assert found.planned == {"run7@500", "m"}
    assert list(found.seen) == ["run7@500"]


def test_a_saved_configuration_is_judged_again_only_where_files_changed(train: Training) -> None:
    train.write(s100="a", s200="b")
    config = train.config()
    train.settle(config=config)
    assert train.waited == []
    train.write(s100="new")
    (train.step(200) / "model.safetensors").write_bytes(b"half")
    found = train.settle(config=config)
    assert train.waited == [5.0]
    assert found.planned == {"run7@100", "m"}
    assert [item.reason for item in found.left_out] == [
        "not settled yet: model.safetensors is half-written"
    ]


def test_a_digest_that_must_not_be_read_is_one_of_names_sizes_and_times(train: Training) -> None:
    train.write(s100="a")
    config = train.config()
    model = config.models["run7@100"]
    assert model.deployment is not None
    by_stat = model.deployment.model_copy(update={"weights_digest": "stat"})
    models = {"run7@100": model.model_copy(update={"deployment": by_stat})}
    found = train.settle(config=config.model_copy(update={"models": models}))
    assert found.weights["run7@100"].digest.startswith("stat:")
