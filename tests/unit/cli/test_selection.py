"""The short options of `run`, beside the overrides and Snakemake's `--config`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval import cli
from snakeval.config.load import load
from support.configs import COMMAND, VALID, write

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture
def own_limits(place: Path) -> Path:
    own: dict[str, Any] = {"params": {"limit_samples": 3}, "per_model": {"m": {"limit_samples": 2}}}
    benchmarks = {"b": COMMAND | own, "c": COMMAND | {"per_model": {"m": {"top_p": 0.5}}}}
    write(place, VALID | {"benchmarks": benchmarks}, "evaluation.yaml")
    return place


def test_a_limit_holds_for_all_benchmarks(own_limits: Path, ran: list[list[str]]) -> None:
    assert cli.main(["run", "evaluation.yaml", "--limit", "10"]) == 0
    (saved,) = (own_limits / "home/composed").iterdir()
    config = load([saved])[0]
    b, c = config.benchmarks["b"], config.benchmarks["c"]
    assert [p.limit_samples for p in (config.params, b.params, b.per_model["m"])] == [10] * 3
    assert c.per_model["m"].limit_samples is None


def test_names_choose_as_in_snakemakes_config(own_limits: Path, ran: list[list[str]]) -> None:
    words = ["run", "-t", "b,c", "--model", "m", "--", "--cores", "2", "--config", "run=new"]
    assert cli.main(words) == 0  # evaluation.yaml is the configuration of this directory
    (argv,) = ran
    pairs = argv[argv.index("--config") + 1 :]
    assert {"run=new", "models=m", "benchmarks=b,c"} <= set(pairs)
    assert argv[argv.index("--cores") + 1] == "2"
