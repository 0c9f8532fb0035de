"""``deployment.lepton``: the priority of an endpoint."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from pydantic import ValidationError
from snakemake_executor_plugin_lepton import options
from snakemake_executor_plugin_lepton.errors import TaskError

from snakeval.config.lepton import LeptonEndpoint


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("high", "high-7000"), ("High", "high-7000"), ("high-9", "high-9000"), (5, "mid-5000"),
        ("medium", "mid-4000"), ("mid-4000", "mid-4000"), ("low", "low-1000"), (None, None),
    ],
)  # fmt: skip
def test_a_priority_becomes_the_services_own_word(given: object, word: str | None) -> None:
    read = LeptonEndpoint.model_validate({"priority": given})
    assert read.priority == word
    assert LeptonEndpoint.model_validate(read.model_dump()).priority == word


@pytest.mark.parametrize("given", ["urgent", "high-2", "0", "highest", "", "-", True, [1]])
def test_an_unknown_priority_is_an_error(given: object) -> None:
    with pytest.raises(ValidationError, match="is no priority; choose low, mid, high"):
        LeptonEndpoint.model_validate({"priority": given})


def test_jobs_and_endpoints_have_the_same_priorities() -> None:
    """The plugin is released alone, and the configuration imports no executor."""
    words = ("low", "mid", "MEDIUM", "high", "other", "")
    parts = itertools.product(words, ("-", ""), ("4", "0", "12", ""), ("000", ""))
    texts = [text for text in map("".join, parts) if text]  # without one, the plugin has a default
    of_endpoints, of_jobs = {}, {}
    for text in texts:
        with contextlib.suppress(ValidationError):
            of_endpoints[text] = LeptonEndpoint.model_validate({"priority": text}).priority
        with contextlib.suppress(TaskError):
            of_jobs[text] = options.priority(text, "here")
    assert of_endpoints == of_jobs
    assert 10 < len(of_jobs) < len(texts)
