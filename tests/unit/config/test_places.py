"""Places that an override may set without a sign, and the place that a wrong one meant."""

from __future__ import annotations

import pytest

from snakeval.config.places import is_known, suggestion


@pytest.mark.parametrize(
    ("owner", "rest", "known"),
    [
        ("", "params.limit_samples", True),
        ("", "params.limit", False),
        ("", "export.wandb.project", True),
        ("params", "extra.num_fewshot", True),
        ("models", "mine.endpoint.url", False),  # a name may be misspelt
        ("models.mine", "endpoint.api_key_name", True),
        ("models.mine", "deployment.args.max", False),
        ("benchmarks.b", "params.temperature", True),
        ("benchmarks.b", "per_model.mine.temperature", False),
        ("benchmarks.b.per_model.mine", "temperature", True),
        ("name", "part", False),
    ],
)
def test_a_known_place_is_a_key_of_the_schema(owner: str, rest: str, known: bool) -> None:
    assert is_known(owner.split(".") if owner else [], rest.split(".")) is known


@pytest.mark.parametrize(
    ("owner", "rest", "question"),
    [
        ("", "limit_samples", "did you mean params.limit_samples?"),
        ("", "num_fewshot", "did you mean params.extra.num_fewshot?"),
        ("params", "num_fewshot", "did you mean params.extra.num_fewshot?"),
        ("params", "temprature", "did you mean 'temperature'?"),
        ("benchmarks.b", "temperature", "did you mean benchmarks.b.params.temperature?"),
        (
            "benchmarks.b.params",
            "num_fewshot",
            "did you mean benchmarks.b.params.extra.num_fewshot?",
        ),
        ("models.m", "temperature", ""),
        ("", "target.api_endpoint.url", ""),
        ("name", "part", ""),
    ],
)
def test_a_wrong_place_gets_the_place_that_was_meant(owner: str, rest: str, question: str) -> None:
    assert suggestion(owner.split(".") if owner else [], rest.split(".")) == question
