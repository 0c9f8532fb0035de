"""Test beds: what is not here is skipped and named; in CI, where all must be here, it fails."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from hypothesis import settings

from snakeval.ledger import beside
from support import forks, workers
from support.engine import engine
from support.limits import HUNG
from support.servers import mlflow_server
from support.slurm import cluster

# A shell ignores Ctrl-C for what it starts in the background, and each child would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Imports and collection make objects that last; `pytest_collection_finish` ends this.
gc.disable()

# How long an example takes says nothing about what it tests.
settings.register_profile("snakeval", deadline=None)
settings.load_profile("snakeval")

BUSYBOX = "snakeval-testbed/busybox:latest"
IMAGES = ("snakeval/lm-eval:0.4.13", "snakeval-testbed/eval-factory:26.3")
SLURM = Path(__file__).parent / "testbed/slurm.sh"
TESTBED = Path(os.environ.get("SNAKEVAL_TESTBED") or "/tmp/snakeval-testbed")
TINY = TESTBED / "tiny"
EXPORTERS = TESTBED / "exporters"
VLLM = TESTBED / "vllm"
#: A file system in memory: files on a disk are a tenth of what tests cost. CI has them on its
#: disk, which users have, and which containers see.
MEMORY, MEMORY_NEEDED = "/dev/shm", 4 << 30


@cache
def missing_docker(*images: str) -> str:
    try:
        client = docker.from_env(timeout=HUNG)
        for image in images:
            client.images.get(image)
    except ImageNotFound:
        return f"no image {image}; tests/testbed/images.sh makes it"
    except DockerException:
        return "no Docker engine answers; tests/testbed/engine.sh start"
    return ""


@cache
def missing_podman() -> str:
    if shutil.which("podman") is None:
        return "no podman"
    command = ["podman", "run", "--rm", "--network", "host", BUSYBOX, "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)
    return done.stderr.strip()[-200:] if done.returncode else ""


@cache
def missing_tiny() -> str:
    return "" if (TINY / "ready").exists() else f"no {TINY}; tests/testbed/tiny.sh makes it"


@cache
def missing_exporters() -> str:
    ready = (EXPORTERS / "ready").exists()
    return "" if ready else f"no {EXPORTERS}; tests/testbed/exporters.sh makes it"


@cache
def missing_slurm() -> str:
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "no snakemake-executor-plugin-slurm; pip install it"
    command = ["bash", str(SLURM), "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)
    said = " ".join(done.stdout.split())[-200:]
    return f"{said}; tests/testbed/slurm.sh start" if done.returncode else ""


def missing_browser() -> str:
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(absent)}; tests/testbed/apt.sh installs it" if absent else ""


@cache
def missing_vllm() -> str:
    return "" if (VLLM / "ready").exists() else f"no {VLLM}; tests/testbed/vllm.sh makes it"


BEDS = {
    "browser": missing_browser,
    "docker": lambda: missing_docker(BUSYBOX),
    "exporters": missing_exporters,
    "haproxy": lambda: "" if shutil.which("haproxy") else "no haproxy; apt-get install haproxy",
    "images": lambda: missing_docker(*IMAGES),
    "podman": missing_podman,
    "slurm": missing_slurm,
    "tiny": missing_tiny,
    "vllm": missing_vllm,
    "root": lambda: "" if os.geteuid() == 0 else "needs root",
}


#: Tests that share a bed or what is dear to make, the first that fits. Slurm's wait most of the
#: time, so several of them run at the same time.
_BED = {
    "slurm": re.compile(r"e2e/test_slurm\."),
    "slurm resume": re.compile(r"e2e/test_slurm_resume"),
    "slurm command": re.compile(r"e2e/test_slurm_(command|queued)"),
    "slurm policies": re.compile(
        r"e2e/test_(slurm_policies|nodes)|serving/test_nodes|runtimes/test_pyxis|\[pyxis"
    ),
    "vllm": re.compile(r"e2e/test_vllm"),
    "lepton": re.compile(r"e2e/test_lepton"),
    "mlflow": re.compile(r"exporters/test_mlflow|e2e/test_export.*mlflow"),
    "images": re.compile(r"e2e/test_(campaign|demo|deployed_images|harness_images)"),
    "page": re.compile(r"e2e/test_report_browser"),
    "wheel": re.compile(r"e2e/test_wheel"),
    "example": re.compile(r"e2e/test_example_package"),
    "rerun": re.compile(r"dag/test_rerun"),
    "environments": re.compile(r"runtimes/test_environments"),
    "publication": re.compile(r"jobs/test_publication_many"),
    "engine": re.compile(
        r"runtimes/test_(docker|podman|apptainer)|\[.*(docker|podman|apptainer|images)"
    ),
}


_FORKS = pytest.StashKey[str]()
#: Tests of one file of these run in one process, in turn: they are short, and import the same.
_BY_FILE = re.compile(r"tests/(lint|unit/(?!executors|exporters|jobs|runtimes|serving))[^:]*")
#: What runs first, because it takes longest, and what runs next; short tests fill the end.
_FIRST = re.compile(r"e2e/|/snakemake-executor-plugin-|dag/")
_NEXT = re.compile(
    r"tests/support/|unit/(serving/test_pool|test_lease|exporters/test_wandb|evaluation/"
    r"|runtimes/test_environments|ledger/test___main__|results/test_statistics|cli/test_kill"
    r"|matrix/test_packing|config/test_nemo|jobs/test_evaluate_preparing|demo/test_server)"
)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Several at a time (``-n 8``): what shares a test bed runs in one process, in turn.

    Marks of pytest-xdist 3.8 would say it, but pytest 9.2 does not let them.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByBed(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if bed := next((bed for bed, names in _BED.items() if names.search(nodeid)), ""):
                return bed
            file = _BY_FILE.match(nodeid)
            return file[0] if file else nodeid

    return ByBed(config, log)


def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Import the tests, and what their commands do, once and not in each process."""
    if not forks.are_real():
        workers.share(config, specs)
    config.stash[_FORKS] = forks.share()


def pytest_configure_node(node: Any) -> None:
    node.workerinput["forks"] = node.config.stash[_FORKS]


def pytest_configure(config: pytest.Config) -> None:
    if address := getattr(config, "workerinput", {}).get("forks"):
        forks.use(address)
    if os.environ.get("SNAKEVAL_REQUIRE_TESTBEDS") != "1" and _has_room_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


def _has_room_in_memory() -> bool:
    with contextlib.suppress(OSError):
        memory = os.statvfs(MEMORY)
        return (
            not memory.f_flag & os.ST_NOEXEC and memory.f_bavail * memory.f_frsize > MEMORY_NEEDED
        )
    return False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several processes begin with the tests that take longest, Slurm's before all others."""

    def order(item: pytest.Item) -> list[bool]:
        later = [not pattern.search(item.nodeid) for pattern in (_FIRST, _NEXT)]
        return [item.get_closest_marker("slurm") is None, *later]

    if hasattr(config, "workerinput"):
        items.sort(key=order)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Collect garbage again, but do not look at what lasts as long as the session."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for what the test's markers say that it needs, before its fixtures need it."""
    with _shared(item):
        for marker, probe in BEDS.items():
            if item.get_closest_marker(marker) and (problem := probe()):
                if os.environ.get("SNAKEVAL_REQUIRE_TESTBEDS") == "1":
                    pytest.fail(f"{marker}: {problem}")
                raise pytest.skip.Exception(f"{marker}: {problem}", _use_item_location=True)


@pytest.fixture(autouse=True)
def test_bed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Share the beds while the test lasts; a test that changes Slurm has Slurm alone."""
    alone = request.node.get_closest_marker("changes_slurm") is not None
    with _shared(request.node, slurm_alone=alone):
        yield


@contextlib.contextmanager
def _shared(item: pytest.Item, *, slurm_alone: bool = False) -> Iterator[None]:
    marked = {mark.name for mark in item.iter_markers()}
    with contextlib.ExitStack() as stack:
        # Always in this order: two tests with both beds never wait for each other.
        if "slurm" in marked:
            stack.enter_context(cluster(alone=slurm_alone))
        if marked & {"docker", "images"} and "restarts_engine" not in marked:
            stack.enter_context(engine())
        yield


@pytest.fixture(autouse=True)
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands and gateways are forks of one process, unless a marker says otherwise."""
    real = request.node.get_closest_marker("real_processes")
    monkeypatch.setattr(beside, "subprocess", forks.module())
    with forks.real_processes() if real else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def gpu_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs of this test are no GPUs of another one, which runs at the same time."""
    monkeypatch.setenv("SNAKEVAL_GPU_SCOPE", f"test-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def tiny() -> Path:
    """Where the tiny model is, in `tiny`, and what serves it, in `venv`."""
    return TINY


@pytest.fixture
def vllm() -> Path:
    """Where vLLM is, in `venv`, and the checkpoints that it serves, in `series`."""
    return VLLM


@pytest.fixture(scope="session")
def exporters_bed() -> Path:
    """Where the environments `mlflow` and `inspect` are."""
    return EXPORTERS


@pytest.fixture(scope="session")
def mlflow_url(exporters_bed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one MLflow server of all tests that need one; it takes seconds to start."""
    with mlflow_server(exporters_bed, tmp_path_factory.mktemp("mlflow")) as url:
        yield url
