"""`--no-preflight` is `--config preflight=false` for Snakemake."""

from __future__ import annotations

import pytest

from snakeval import cli

pytestmark = pytest.mark.usefixtures("place")
EVAL = ("eval", "--base-url", "http://host/v1", "--model-id", "m", "-t", "gsm8k")


@pytest.mark.parametrize("words", [("run", "--config", "c.yaml"), EVAL])
def test_the_option_becomes_a_value_of_config(ran: list[list[str]], words: list[str]) -> None:
    assert cli.main([*words, "--no-preflight"]) == 0
    assert ran[0][-2:] == ["--config", "preflight=false"]


def test_the_option_is_beside_other_values(ran: list[list[str]]) -> None:
    words = ["run", "--config", "c.yaml", "--no-preflight", "--", "--config", "models=m", "-q"]
    assert cli.main(words) == 0
    at = ran[0].index("--config")
    assert ran[0][at : at + 3] == ["--config", "models=m", "preflight=false"]


def test_without_the_option_nothing_is_added(ran: list[list[str]]) -> None:
    assert cli.main(["run", "--config", "c.yaml"]) == 0
    assert not any("preflight" in word for word in ran[0])
