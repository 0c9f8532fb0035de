"""The resource shape of an endpoint: which one is chosen, and how much shared memory it has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from snakeval.errors import EvaluationError
from snakeval.executors.lepton import shapes


def shape(name: str, **spec: Any) -> Any:
    known = {"name": name, "cpu": 1, "memory_in_mb": 1000, "accelerator_num": 1}
    return SimpleNamespace(
        metadata=SimpleNamespace(id_=name), spec=SimpleNamespace(**(known | spec))
    )


@pytest.mark.parametrize(
    ("more", "group", "fits"),
    [
        ({}, None, True),
        ({"dedicated_node_group_only": True}, None, False),
        ({"dedicated_node_group_only": True}, "ng-1", True),
        ({"dedicated_node_group_only": False}, None, True),
        ({"accelerator_fraction": 0.5}, None, False),
        ({"listable_in": ["job"]}, None, False),
        ({"listable_in": ["job", "deployment"]}, None, True),
        ({"accelerator_num": 0}, None, False),
    ],
)
def test_a_shape_fits_if_an_endpoint_may_have_it_as_a_whole(
    more: dict[str, Any], group: str | None, fits: bool
) -> None:
    assert shapes.fits(shape("gpu.1", **more).spec, 1, group) is fits


def test_the_smallest_that_fits_is_chosen_or_the_named_one() -> None:
    found = [shape("GPU.8", accelerator_num=8), shape("gpu.1"), shape("cpu", accelerator_num=0)]
    assert shapes.name_of(shapes.choose(found, None, 1, None)) == "gpu.1"
    assert shapes.name_of(shapes.choose(found, "GPU.8", 1, None)) == "gpu.8"
    with pytest.raises(EvaluationError, match=r"no resource shape gpu\.2; there are cpu, gpu"):
        shapes.choose(found, "gpu.2", 1, None)


@pytest.mark.parametrize(
    ("wanted", "memory", "size"),
    [(16, 1000, 16), (1600, 1000, 1000), (0, 1000, None), (None, 1000, None), (16, None, 16)],
)
def test_shared_memory_is_within_the_shapes_memory(
    wanted: int | None, memory: int | None, size: int | None
) -> None:
    assert shapes.shared_memory(shape("x", memory_in_mb=memory), wanted) == size
