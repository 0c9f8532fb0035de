"""A command looks at the checkpoints that it plans, and a start hashes them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.load import load
from snakeval.errors import ConfigError
from snakeval.matrix.expand import split
from snakeval.matrix.facts import Facts
from snakeval.run.directory import RunDirectory
from snakeval.series.load import Expansion
from snakeval.series.settle import settle
from snakeval.serving import weights
from support.checkpoints import adapter, checkpoint
from support.configs import COMMAND, write
from support.training import LATER, Training


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


def test_adapters_are_checkpoints_with_digests_of_their_own(tmp_path: Path) -> None:
    for step, rank in ((100, 1), (200, 2), (300, 1)):
        path = adapter(tmp_path / f"train/step-{step}")
        (path / "adapter_config.json").write_text(f'{{"peft_type": "LORA", "r": {rank}}}')
    base = checkpoint(tmp_path / "base")
    served = {"kind": "vllm", "checkpoint_path": str(base)}
    series = {"pattern": f"{tmp_path}/train/step-{{step}}"}
    models = {"run7": {"deployment": served, "checkpoints": series}}
    asks = COMMAND | {"command": "ask {{ url }}"}
    content = {"runtime": "process", "models": models, "benchmarks": {"b": asks}}
    config = load([write(tmp_path, content)], {}, Expansion(False, clock=LATER))[0]
    run = RunDirectory(tmp_path / "run")
    found = settle(config, run, starts=True, clock=LATER)
    assert found.same_as == {"run7@100": "run7@300"}
    facts = Facts(run, starts=True, looked=found.weights)
    jobs, points = found.shared(split(found.plans, facts)[0])
    weights, adapters = (
        [each.identity.deployment[key] for each in jobs] for key in ("weights", "adapter")
    )
    assert [each.model for each in jobs] == ["run7@300", "run7@200"]
    assert [item.model for item in points] == ["run7@100"]
    assert weights[0] == weights[1] == facts.weights("base", str(base), by_stat=False).digest
    assert adapters == [found.weights[each.model].digest for each in jobs]
    assert adapters[0] != adapters[1]
