"""The option ``--budget``."""

from __future__ import annotations

import click
import pytest

from snakeval.cli.budget_option import budget_pair
from snakeval.cli.launch.snakemake_options import parsed


def test_the_option_is_a_mapping_of_config() -> None:
    pairs = budget_pair(["tokens=1e6,money=2.5", "wall=4h", "requests=1000"])
    found = parsed(pairs)
    assert found == {"budget": {"tokens": "1e6", "money": 2.5, "wall": "4h", "requests": 1000}}
    assert parsed(budget_pair(["wall=04:00:00"])) == {"budget": {"wall": "04:00:00"}}
    assert parsed(budget_pair(["none"])) == {"budget": "none"}
    assert budget_pair([]) == []


@pytest.mark.parametrize("text", ["tokens", "5", "tokens=", "tokens: 5", "to-kens=5", "tokens=[1]"])
def test_another_form_is_an_error(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no kind with an amount"):
        budget_pair([text])
