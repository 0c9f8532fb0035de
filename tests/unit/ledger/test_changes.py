"""Changes to requests on their way to the endpoint; the journal keeps those of the harness."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger.changes import Changes
from snakeval.ledger.reading import stored
from support.ledger import bed, counting, run

SENT = {"model": "m", "messages": [], "max_tokens": 32, "stop": ["x"], "seed": 7, "temperature": 1}


@pytest.mark.parametrize(
    ("changes", "received", "differ"),
    [
        ({}, SENT, {}),
        (
            {"rename": {"max_tokens": "max_completion_tokens"}, "drop": ["stop", "seed"]},
            {"model": "m", "messages": [], "temperature": 1, "max_completion_tokens": 32},
            {"max_tokens": None, "stop": None, "seed": None, "max_completion_tokens": 32},
        ),
        (
            {"drop": ["temperature"], "add": {"temperature": 0.5, "x": {"y": None}}},
            SENT | {"temperature": 0.5, "x": {"y": None}},
            {"temperature": 0.5, "x": {"y": None}},
        ),
        ({"rename": {"top_k": "k"}, "drop": ["none"]}, SENT, {}),
        # The form before `rename`: members to add.
        ({"reasoning": "low"}, SENT | {"reasoning": "low"}, {"reasoning": "low"}),
    ],
)
def test_members_are_renamed_then_dropped_then_added(
    changes: dict[str, Any], received: dict[str, Any], differ: dict[str, Any]
) -> None:
    assert Changes.of(changes).made(SENT, 0) == (received, differ)


@pytest.mark.parametrize(
    ("changes", "name", "seed"),
    [
        ({}, "seed", 9),
        ({"rename": {"seed": "random_seed"}}, "random_seed", 9),
        ({"add": {"seed": 100}}, "seed", 102),
        ({"add": {"temperature": 0}}, "seed", 7),
        ({"drop": ["seed"]}, "seed", None),
    ],
)
def test_the_seed_of_a_further_equal_request_is_that_of_the_changed_request(
    changes: dict[str, Any], name: str, seed: int | None
) -> None:
    made, _ = Changes.of(changes).made(SENT, 2)
    assert made.get(name) == seed


def test_the_endpoint_receives_the_changes_and_the_journal_has_the_harness_s_request(
    tmp_path: Path,
) -> None:
    changes = {"rename": {"max_tokens": "max_completion_tokens"}, "drop": ["stop"]}

    async def scenario() -> None:
        async with bed(tmp_path, counting(), request=changes) as b:
            first = await b.post(SENT)
            assert b.endpoint.asked[0].data["max_completion_tokens"] == 32
            assert not {"max_tokens", "stop"} & b.endpoint.asked[0].data.keys()
            await b.post({"prompt": "x", "stop": 1}, "/tokenize")
            assert b.endpoint.asked[1].data == {"prompt": "x", "stop": 1}
        (one, *_) = stored(tmp_path)
        assert json.loads(one.answer.request) == SENT
        assert one.answer.meta["sent"] == {
            "max_tokens": None,
            "stop": None,
            "max_completion_tokens": 32,
        }
        # The harness's request finds its answer.
        async with bed(tmp_path, counting(), request=changes) as b:
            assert (await b.post(SENT)).body == first.body
            assert b.endpoint.asked == []

    run(scenario())
