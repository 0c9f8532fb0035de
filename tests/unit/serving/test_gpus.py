"""Which GPUs there are, which of them a server gets, and the locks of physical GPUs.

No test here ran on a GPU: a stand-in for NVML has four.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pynvml
import pytest

from snakeval.config import models
from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving import gpus
from snakeval.serving.deployment import Serving
from snakeval.serving.gpus import Locks, holder, lock, locked, physical, pick, slots, with_gpus
from snakeval.serving.nodes import Place, Room
from snakeval.serving.resolve import resolve
from support.machine import eventually

UUIDS = ("GPU-5c3d0000-aa", "GPU-5c3d1111-bb", "GPU-77770000-cc", "GPU-88880000-dd")


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that finds four GPUs."""
    monkeypatch.setattr(gpus, "_found", ())
    for name in ("nvmlInit", "nvmlShutdown"):
        monkeypatch.setattr(pynvml, name, lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 4)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda index: UUIDS[index])


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


# --- physical GPUs ------------------------------------------------------------------------------


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("1", UUIDS[1]),
        ("01", UUIDS[1]),
        (UUIDS[2], UUIDS[2]),
        ("GPU-7777", UUIDS[2]),
        ("gpu-8", UUIDS[3]),
        ("GPU-5c3d", "GPU-5c3d"),  # of two
        ("MIG-1", "MIG-1"),
        ("7", "job-7"),
    ],
)
def test_an_id_has_the_name_of_its_physical_gpu(id_: str, name: str) -> None:
    assert physical([id_], {"SNAKEVAL_GPU_SCOPE": "job"}) == {id_: name}


@pytest.mark.usefixtures("none")
@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "-0"),
        ({"SLURM_JOB_ID": "7"}, "7-0"),
        ({"SNAKEVAL_GPU_SCOPE": "x"}, "x-0"),
        ({"SNAKEVAL_GPU_SCOPE": "x", "SLURM_JOB_ID": "7"}, "x-7-0"),
    ],
)
def test_without_a_driver_a_number_is_a_name_within_its_job(
    environ: dict[str, str], name: str
) -> None:
    assert physical(["0"], environ) == {"0": name}


def serving(**spec: object) -> Serving:
    made = models.Deployment(kind="generic", command="serve", **spec)
    return resolve("careful", made, "host").serving


@pytest.mark.usefixtures("four")
def test_a_uuid_beside_a_number_is_the_same_gpu() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": f"0,{UUIDS[0]},GPU-7777"}
    room = Room([], environ)
    assert room.place(serving(gpus=3)) is None, "there are two"
    assert Room([Place(("2",))], environ).take(1) == ("0",)
    assert Room([Place((UUIDS[0],)), Place(("2",))], environ).take(1) is None
    assert Room([Place(("0",))], environ).place(serving(gpus=[2])) == (Place(("GPU-7777",)),)
    assert Room([Place(("GPU-7777",))], environ).place(serving(gpus=[2])) is None


@pytest.mark.usefixtures("four")
def test_gpus_that_other_processes_hold_are_not_free() -> None:
    assert Room([], {}, closed={UUIDS[0], UUIDS[3], "gone"}).take(2) == ("1", "2")
    assert Room([], {}, closed={UUIDS[0]}).take(4) is None


@pytest.mark.usefixtures("four")
def test_docker_gets_uuids_and_others_numbers() -> None:
    spec = ContainerSpec("x", "image", ("true",), "/", gpus=2)
    ids = ("1", "GPU-7777")
    for runtime, wanted in (("docker", (UUIDS[1], UUIDS[2])), ("process", ids)):
        assert with_gpus(spec, runtime, ids, Locks(), {}).gpu_ids == wanted


# --- locks --------------------------------------------------------------------------------------


@pytest.fixture
def name() -> str:
    """A GPU of no other test."""
    return f"test-{uuid.uuid4().hex[:12]}"


_HOLDS = """\
import os, sys, time
from snakeval.serving.gpus import lock
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
held = lock([sys.argv[1]])
print("held" if held else "taken", flush=True)
time.sleep(1800)
"""


@pytest.fixture
def process(name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the GPU."""
    with holding(name) as process:
        yield process
        process.kill()


def holding(name: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _HOLDS, name, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_gpu_has_one_holder_on_the_machine(name: str, process: subprocess.Popen[str]) -> None:
    other = f"{name}-other"
    assert lock([other, name]) is None
    assert locked([other, name]) == {name}, "all or none"
    assert holder(name) == f"process {process.pid}"
    process.kill()
    process.wait()
    assert locked([name]) == set()
    locks = lock([name])
    assert locks is not None
    assert holder(name) == f"process {os.getpid()}"
    locks.release()
    assert locked([name]) == set()
    assert holder(name) == "another process"


@pytest.mark.root
def test_a_gpu_of_another_user_is_locked_for_all(name: str) -> None:
    with holding(name, "65534") as process:
        assert lock([name]) is None
        assert holder(name) == f"process {process.pid} of user nobody"
        process.kill()


def test_a_gpu_stays_locked_as_long_as_a_process_that_uses_it_lives(name: str) -> None:
    locks = lock([name])
    assert locks is not None
    with subprocess.Popen(["sleep", "1800"], pass_fds=locks.files) as user:
        locks.release()
        assert locked([name]) == {name}
        user.kill()
    assert locked([name]) == set()


_OWNER = """\
import sys, time
from snakeval.serving.gpus import lock
locks = lock([sys.argv[1]])
locks.outlive(1)
print("ready", flush=True)
sys.stdin.readline()
locks.release()
print("released", flush=True)
time.sleep(1800)
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_gpu_outlives_an_owner_that_was_killed_for_a_while(name: str, killed: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdin is not None
        assert owner.stdout.readline() == "ready\n"
        if killed:
            owner.send_signal(signal.SIGKILL)
            owner.wait()
            assert locked([name]) == {name}
            eventually(lambda: not locked([name]), "it is locked for ever")
        else:
            owner.stdin.write("\n")
            owner.stdin.flush()
            assert owner.stdout.readline() == "released\n"
            assert locked([name]) == set()
            owner.kill()
