"""Deployments that snakeval cannot serve as they are configured."""

from __future__ import annotations

from typing import Any

import pytest

from snakeval.config.models import Deployment, SeriesDeployment
from snakeval.config.servable import why_unservable


def why(**keys: Any) -> str:
    return why_unservable(Deployment.model_construct(**keys))


def why_series(**keys: Any) -> str:
    return why_unservable(SeriesDeployment.model_construct(**keys))


ADAPTER = {"kind": "vllm", "adapter_path": "/adapter"}


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (ADAPTER, "has an adapter and no weights; add checkpoint_path or hf_model_handle"),
        (ADAPTER | {"hf_model_handle": "org/m", "swap": True}, "has both swap and weights that"),
        (ADAPTER | {"hf_model_handle": "org/m", "instances": 2}, "has several instances, but one"),
        (ADAPTER | {"hf_model_handle": "org/m"}, ""),
        (ADAPTER | {"kind": "trtllm", "hf_model_handle": "org/m"}, "kind trtllm loads no adapters"),
        ({"kind": "sglang", "checkpoint_path": "/m", "swap": True}, "kind sglang cannot replace"),
        ({"kind": "vllm", "checkpoint_path": "/m", "swap": True}, ""),
        ({"kind": "vllm", "checkpoint_path": "/m", "hf_model_handle": "org/m"}, "has both checkp"),
        ({"kind": "vllm"}, "kind vllm requires weights; add checkpoint_path or hf_model_handle"),
    ],
)
def test_what_cannot_be_served(keys: dict[str, Any], reason: str) -> None:
    found = why(**keys)
    assert found.startswith(reason) if reason else not found


def test_a_series_has_weights_only_for_adapters() -> None:
    assert not why_series(kind="vllm")
    assert not why_series(kind="vllm", swap=True)
    assert not why_series(kind="sglang", hf_model_handle="org/m")
    assert why_series(kind="llamacpp", checkpoint_path="/m").startswith("kind llamacpp loads no")
    assert why_series(kind="vllm", adapter_path="/a").startswith("has adapter_path, which comes")
