"""Canonical JSON and the fingerprint that is made of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.evaluation.definition import Evaluation, Identity, Transport, canonical_json, digest

IDENTITY = Identity(
    harness="h", adapter="generic", image="i", task="t", model_id="m", endpoint_url="u",
    endpoint_type="chat", params={"temperature": 0.0, "extra": {"a": [1]}},
)  # fmt: skip
#: Of an identity of format 1. Where it changes, every evaluation that anybody finished is stale:
#: raise IDENTITY_FORMAT, say so in the changelog, and only then correct it here.
FINGERPRINT = "8d74d7cc74f35bedaece3fa1f5245f05f9ae48614731ff9b5daad32b936efb94"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip
MAPPINGS = st.dictionaries(st.text(), JSON)
TRANSPORTS = st.builds(
    Transport,
    parallelism=st.integers(1), request_timeout=st.integers(1), max_retries=st.integers(0),
    api_key_name=st.text(), env=st.dictionaries(st.text(), st.text()), files=st.text(),
    mounts=st.lists(st.tuples(st.text(), st.text(), st.booleans())).map(tuple),
    runtime=st.sampled_from(["auto", "docker"]), network=st.sampled_from(["host", "bridge"]),
    resources=st.dictionaries(st.text(), st.none() | st.integers()),
    servers=st.lists(st.text()).map(tuple), auxiliary_keys=st.dictionaries(st.text(), st.text()),
    heartbeat=st.floats(0.1, 3600), stale=st.floats(1, 86400),
)  # fmt: skip


@given(MAPPINGS)
def test_the_order_of_keys_does_not_matter_and_nothing_is_lost(value: dict[str, Any]) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical_json(dict(reversed(value.items()))) == text


def test_a_value_that_json_does_not_have_fails() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


@given(MAPPINGS, MAPPINGS)
def test_params_have_one_fingerprint_exactly_if_they_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    same = canonical_json(one) == canonical_json(other)
    fingerprints = {replace(IDENTITY, params=params).fingerprint for params in (one, other)}
    assert len(fingerprints) == (1 if same else 2)


@given(TRANSPORTS)
def test_no_transport_changes_a_fingerprint_and_any_survives_the_way_to_the_job(
    transport: Transport,
) -> None:
    sent = Evaluation("m", "b", IDENTITY, transport, {"temperature": "run"})
    received = Evaluation.from_json(sent.to_json())
    assert received == sent
    assert sent.fingerprint == received.fingerprint == IDENTITY.fingerprint


def test_a_fingerprint_is_the_same_in_every_process_and_every_release() -> None:
    code = (
        "from snakeval.evaluation.definition import digest; import json, sys;"
        "print(digest(json.load(sys.stdin)))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(IDENTITY.as_dict()),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.strip() == FINGERPRINT
    assert digest(IDENTITY.as_dict()) == IDENTITY.fingerprint == FINGERPRINT


def test_what_came_later_is_part_of_a_fingerprint_only_where_it_is_there() -> None:
    assert not {"deployment", "auxiliary"} & IDENTITY.as_dict().keys()
    for name in ("deployment", "auxiliary"):
        other = replace(IDENTITY, **{name: {"kind": "vllm"}})
        assert other.fingerprint != FINGERPRINT
        sent = Evaluation("m", "b", other, Transport())
        assert Evaluation.from_json(sent.to_json()) == sent


def test_an_identity_of_an_unknown_format_fails() -> None:
    data = json.loads(Evaluation("m", "b", IDENTITY, Transport()).to_json())
    data["identity"]["format"] = 99
    with pytest.raises(ValueError, match="identity format 99, this snakeval reads 1"):
        Evaluation.from_json(json.dumps(data))
