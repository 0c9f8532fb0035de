"""``deployment.lepton``: the priority of an endpoint."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

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
