"""The verdict on what an endpoint says, without a socket."""

from __future__ import annotations

import pytest

from snakeval.config.endpoints import Endpoint
from snakeval.dag.endpoint_words import Target, asked_of, is_alive, of_fault, of_model_id
from snakeval.ledger.faults import Fault

ENDPOINT = Endpoint.model_validate({"url": "http://h/v1", "model_id": "llama-8"})


def fault(status: int, message: str, kind: str = "refused", **more: str) -> Fault:
    return Fault(kind, status, "POST http://h/v1/chat/completions", message, **more)


@pytest.mark.parametrize(
    ("status", "message", "more", "alive"),
    [
        (400, "max_completion_tokens: minimum is 16", {}, True),
        (422, "body.stop: Extra inputs are not permitted", {}, True),
        (400, "Invalid value", {"param": "max_tokens"}, True),
        (400, "The model `m` does not exist", {}, False),
        (400, "Model 'llama-3.1-8b' is not supported", {}, False),
        (400, "The model llama-3.1-8b is not available", {}, False),
        (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            {},
            True,
        ),
        (400, "max_tokens is not supported for model gpt-5.1", {}, True),
        (400, "token: the API key is invalid", {}, False),
        (400, "the tokenizer has no chat template", {}, False),
        (400, "This model only supports images", {}, False),
        (404, "max_tokens", {}, False),
        (500, "max_tokens", {}, False),
    ],
)
def test_a_refused_limit_or_parameter_is_a_sign_of_life(
    status: int, message: str, more: dict[str, str], alive: bool
) -> None:
    assert is_alive(status, fault(status, message, **more)) is alive
    assert is_alive(status, None)


def test_of_many_models_the_nearest_are_listed() -> None:
    served = [f"gpt-{number}" for number in range(9)] + ["llama-80"]
    problem = of_model_id(Target(("models.m",), ENDPOINT), served).problem
    assert problem is not None
    assert problem.hint.startswith("it serves llama-80, gpt-8, ")
    assert problem.hint.endswith(" and 5 more")
    alone = of_model_id(Target(("models.m",), ENDPOINT), ()).problem
    assert alone is not None
    assert alone.hint == "correct it"


def test_hostile_ids_of_a_server_make_a_short_visible_hint() -> None:
    served = ["\x1b[31mllama", "\u202ex", "\ud800", "y" * 1_000_000, "z\nw", "hf_" + "Ab1" * 12]
    problem = of_model_id(Target(("models.m",), ENDPOINT), served).problem
    assert problem is not None
    assert str(problem).isprintable()
    assert len(str(problem)) < 400
    assert "Ab1Ab1" not in str(problem)


def test_models_with_one_endpoint_are_one_line_and_a_long_message_is_cut() -> None:
    target = Target(("models.m", "models.n"), ENDPOINT)
    finding = of_fault(target, fault(500, "word " * 200, "5xx"), asked_of(target, {}, 8))
    line = str(finding.problem)
    assert line.startswith("models.m, models.n: endpoint.url: the endpoint fails (HTTP 500): word")
    assert len(line) < 300
    assert not finding.stops
