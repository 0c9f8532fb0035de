"""Which GPUs there are to share out, and which of them a server gets."""

from __future__ import annotations

import pynvml
import pytest

from snakeval.serving.gpus import pick, slots


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that finds four GPUs."""
    for name in ("nvmlInit", "nvmlShutdown"):
        monkeypatch.setattr(pynvml, name, lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 4)


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a driver, as NVML says it."""

    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("environ", "ids"),
    [
        ({}, ("0", "1", "2", "3")),
        ({"SNAKEVAL_GPUS": "2"}, ("0", "1")),
        ({"SNAKEVAL_GPUS": "8"}, ("0", "1", "2", "3")),
        ({"SNAKEVAL_GPUS": "0"}, ()),
        ({"CUDA_VISIBLE_DEVICES": "3, 1"}, ("3", "1")),
        ({"CUDA_VISIBLE_DEVICES": "3,1", "SNAKEVAL_GPUS": "1"}, ("3",)),
        ({"CUDA_VISIBLE_DEVICES": "GPU-5c3d"}, ("GPU-5c3d",)),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
    ],
)
def test_the_driver_lists_the_gpus_and_a_variable_may_allow_fewer(
    environ: dict[str, str], ids: tuple[str, ...]
) -> None:
    assert slots(environ) == ids


@pytest.mark.usefixtures("none")
@pytest.mark.parametrize(
    ("environ", "ids"),
    [({}, ()), ({"SNAKEVAL_GPUS": "2"}, ("0", "1")), ({"SNAKEVAL_GPUS": "many"}, ())],
)
def test_without_a_driver_there_are_as_many_as_a_person_says(
    environ: dict[str, str], ids: tuple[str, ...]
) -> None:
    assert slots(environ) == ids


ORDER = ("3", "0", "1")


@pytest.mark.parametrize(
    ("free", "count", "named", "chosen"),
    [
        ({"0", "1", "3"}, 2, (), ("3", "0")),
        ({"0", "1"}, 2, (), ("0", "1")),
        ({"0", "1"}, 0, (), ()),
        ({"0", "1"}, 3, (), None),
        ({"0", "1"}, 2, ("1", "0"), ("1", "0")),
        ({"0"}, 2, ("1", "0"), None),
        ({"0", "1"}, 1, ("7",), None),
    ],
)
def test_a_server_gets_the_first_free_ones_or_exactly_those_that_it_names(
    free: set[str], count: int, named: tuple[str, ...], chosen: tuple[str, ...] | None
) -> None:
    assert pick(free, ORDER, count, named) == chosen
