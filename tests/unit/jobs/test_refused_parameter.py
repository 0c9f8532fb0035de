"""The parameters that an endpoint refuses, from its message, and the line that avoids them."""

from __future__ import annotations

import pytest

from snakeval.jobs.refused_parameter import line_for, refused_parameters
from snakeval.ledger.faults import Fault


@pytest.mark.parametrize(
    ("message", "param", "code", "refused"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
            {"max_tokens": "max_completion_tokens"},
        ),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "",
            "",
            {"max_tokens": "max_completion_tokens"},
        ),
        (
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
            "(1) value is supported.",
            "temperature",
            "unsupported_value",
            {"temperature": ""},
        ),
        ("Unsupported value: 'temperature' does not support 0.", "", "", {"temperature": ""}),
        ("Unknown parameter: 'seed'.", "seed", "unknown_parameter", {"seed": ""}),
        ("Unrecognized request argument supplied: seed", "", "", {"seed": ""}),
        ("Unrecognized request arguments supplied: seed, stop", "", "", {"seed": "", "stop": ""}),
        ("body.seed: Extra inputs are not permitted", "", "", {"seed": ""}),
        (
            "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not "
            "permitted', 'input': 1}]",
            "",
            "",
            {"seed": ""},
        ),
        (
            "litellm.UnsupportedParamsError: openai does not support parameters: ['seed', 'stop'], "
            "for model=gpt-5. To drop these, set `litellm.drop_params=True`",
            "",
            "",
            {"seed": "", "stop": ""},
        ),
        (
            "azure does not support parameters: {'top_k': 5}, for model=x",
            "",
            "",
            {"top_k": ""},
        ),
        (
            "gpt-5 models don't support temperature=0.0. Only temperature=1 is supported.",
            "",
            "",
            {"temperature": ""},
        ),
        ("property 'logprobs' is unsupported", "", "", {"logprobs": ""}),
        ("Argument not supported on this model: stop", "", "", {"stop": ""}),
        (
            'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
            "",
            "",
            {"seed": ""},
        ),
        ("`temperature` is deprecated for this model.", "", "", {"temperature": ""}),
        ("The model does not support per-request seed.", "", "", {"seed": ""}),
        ("The model `gpt` does not exist", "", "model_not_found", {}),
        ("Unsupported value: 'model' is not known", "model", "unsupported_value", {}),
        ("This model's maximum context length is 4096 tokens.", "messages", "", {}),
        ("", "", "", {}),
    ],
)
def test_the_refused_parameters_are_found(
    message: str, param: str, code: str, refused: dict[str, str]
) -> None:
    fault = Fault("refused", 400, "POST http://h", message, param, code)
    assert refused_parameters(fault) == refused


@pytest.mark.parametrize(
    ("refused", "now", "line"),
    [
        ({"stop": "", "seed": ""}, {}, "drop: [stop, seed]"),
        (
            {"temperature": ""},
            {"rename": {"max_tokens": "max_completion_tokens"}, "drop": ["stop"]},
            "rename: {max_tokens: max_completion_tokens}, drop: [stop, temperature]",
        ),
        # The endpoint names what it received: what was renamed, and what was added.
        (
            {"max_completion_tokens": ""},
            {"rename": {"max_tokens": "max_completion_tokens"}},
            "drop: [max_tokens]",
        ),
        ({"top_k": ""}, {"add": {"top_k": 5, "x": 1}}, "drop: [top_k], add: {…}"),
    ],
)
def test_the_line_joins_what_the_configuration_has(
    refused: dict[str, str], now: dict[str, object], line: str
) -> None:
    assert line_for(refused, now) == f"endpoint.request: {{{line}}}"
