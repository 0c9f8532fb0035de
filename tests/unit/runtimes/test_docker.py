"""Tests the Docker runtime: pulls, bridged networks, and an engine that stops."""

from __future__ import annotations

import functools
import http.server
import io
import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import docker
import pytest

from snakeval.errors import EvaluationError, Interrupted
from snakeval.runtimes import blocking, connect
from snakeval.runtimes.docker import Docker
from snakeval.runtimes.spec import ContainerSpec
from support.drip import SlowRegistry, drip
from support.limits import HUNG

BUSYBOX = "snakeval-testbed/busybox:latest"

pytestmark = pytest.mark.docker


def spec(command: str, image: str = BUSYBOX, **more: Any) -> ContainerSpec:
    name = f"snakeval-test-{os.getpid()}"
    return ContainerSpec(name, image, ("sh", "-c", command), "/", **more)


def run(what: ContainerSpec) -> str:
    log = io.BytesIO()
    assert connect("docker").run(what, log, Event()).exit_code == 0, log.getvalue()
    return log.getvalue().decode()


def wait_for(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Start a registry on loopback and return its address."""
    port = free_port()
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\n"
    )
    server = subprocess.Popen(
        ["docker-registry", "serve", str(tmp_path / "registry.yml")], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: answers(port), "the registry does not answer")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=HUNG)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_prepare_pulls_a_missing_image_and_reports_progress(registry: str) -> None:
    image = f"{registry}/busybox:1"
    engine = docker.from_env()
    engine.images.get(BUSYBOX).tag(image)
    engine.images.push(image)
    engine.images.remove(image)
    told: list[str] = []
    try:
        runtime = connect("docker")
        assert not runtime.has(spec("true", image))
        runtime.prepare(spec("true", image), told.append)
        assert runtime.has(spec("true", image))
        assert told[0] == f"pulling {image}"
        assert told[-1] == f"pulled {image}"
        told.clear()
        assert runtime.prepare(spec("true", image), told.append).startswith("sha256:")
        assert told == []
    finally:
        engine.images.remove(image)


def test_the_error_of_an_unknown_image_names_it(registry: str) -> None:
    image = f"{registry}/no/such:image"
    with pytest.raises(EvaluationError) as refused:
        connect("docker").prepare(spec("true", image), lambda text: None)
    assert str(refused.value).startswith(
        f"image {image} is not on this machine and cannot be pulled"
    )
    assert str(refused.value).endswith("check `image`")


def test_a_bridged_container_reaches_this_machine(tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("from here")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        runtime = connect("docker")
        url = f"http://{runtime.host}:{server.server_port}/hello"
        assert run(spec(f"wget -q -O - {url}", network="bridge")) == "from here"
        on_host = f"http://127.0.0.1:{server.server_port}/hello"
        assert run(spec(f"wget -q -O - {on_host}", network="host")) == "from here"
        server.shutdown()


def test_the_definition_requests_a_number_of_gpus() -> None:
    runtime = connect("docker")
    assert isinstance(runtime, Docker)
    (request,) = runtime._definition(spec("true", gpus=2))["host_config"]["DeviceRequests"]
    assert (request["Count"], request["Capabilities"]) == (2, [["gpu"]])
    assert "--gpus 2" in runtime.shell(spec("true", gpus=2))


def test_the_definition_requests_selected_gpus() -> None:
    runtime = connect("docker")
    assert isinstance(runtime, Docker)
    what = spec("true", gpus=2, gpu_ids=("0", "GPU-5c3d"))
    (wanted,) = runtime._definition(what)["host_config"]["DeviceRequests"]
    assert (wanted["DeviceIDs"], wanted["Count"]) == (["0", "GPU-5c3d"], 0)
    # What the command line makes of it: created only, since a GPU is not needed before the start.
    words = shlex.split(runtime.shell(what))
    words = ["docker", "create", *words[words.index("--rm") :]]
    made = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    try:
        (asked,) = docker.from_env().api.inspect_container(made)["HostConfig"]["DeviceRequests"]
        assert asked["DeviceIDs"] == wanted["DeviceIDs"]
        assert asked["Capabilities"] == wanted["Capabilities"] == [["gpu"]]
    finally:
        subprocess.run(["docker", "rm", made], capture_output=True, check=True)


def test_a_start_waits_while_the_engine_removes_an_old_container() -> None:
    for pause in (0.0, 0.02, 0.05, 0.1):
        what = spec("true")
        leave = ["docker", "run", "--rm", "--detach", "--name", what.name, BUSYBOX, "sleep", "60"]
        old = subprocess.run(leave, capture_output=True, text=True, check=True).stdout.strip()
        # By its id: the new container has the same name.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(["docker", "kill", old], **quiet):
            time.sleep(pause)
            run(what)


@pytest.fixture
def engine_of_its_own(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a second engine, which a test may kill, and return its address."""
    place = Path("/tmp") / f"snakeval-test-engine-{os.getpid()}"  # sockets have short paths
    place.mkdir()
    address = f"unix://{place}/docker.sock"
    with (tmp_path / "dockerd.log").open("wb") as log:
        engine = subprocess.Popen(
            [
                # A network of its own: an engine without a bridge takes away that of another.
                *("unshare", "--net", "dockerd"),
                *("--data-root", f"{place}/data", "--exec-root", f"{place}/exec"),
                *("--pidfile", str(place / "pid"), "--host", address, "--storage-driver", "vfs"),
                *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: pings(address), (tmp_path / "dockerd.log").read_text())
        save = subprocess.run(["docker", "save", BUSYBOX], capture_output=True, check=True)
        docker.DockerClient(address).images.load(save.stdout)
        yield engine, address
    finally:
        engine.kill()
        engine.wait()
        # containerd and its shims were the engine's children, and outlive it.
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(place) in process.read_text(errors="replace"):
                    os.kill(int(process.parent.name), signal.SIGKILL)
            except OSError:
                continue  # it ended meanwhile
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(str(place))]):
            subprocess.run(["umount", "--lazy", mount], check=True)
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.root
def test_an_engine_that_stops_is_an_error_of_one_sentence(
    engine_of_its_own: tuple[subprocess.Popen[bytes], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, address = engine_of_its_own
    monkeypatch.setenv("DOCKER_HOST", address)
    log = tmp_path / "log"

    def kill_it() -> None:
        wait_for(lambda: log.exists() and b"up" in log.read_bytes(), "the container is not up")
        engine.kill()

    killer = threading.Thread(target=kill_it, daemon=True)
    killer.start()
    with log.open("wb") as file, pytest.raises(EvaluationError) as refused:
        connect("docker").run(spec("echo up; sleep 1800", network="none"), file, Event())
    killer.join()
    assert "the Docker engine stopped answering; start it" in str(refused.value)
    with pytest.raises(EvaluationError, match="no Docker engine answers"):
        connect("docker")


def pings(address: str) -> bool:
    try:
        return bool(docker.DockerClient(address).ping())
    except docker.errors.DockerException:
        return False


def test_a_stop_ends_a_pull_also_in_the_engine() -> None:
    stop = Event()
    with drip(SlowRegistry) as registry:
        host = registry.url.partition("//")[2]

        def stop_when_asked() -> None:
            registry.asked.wait(HUNG)
            wait_for(lambda: registry.connections, "the engine does not pull")
            stop.set()

        threading.Thread(target=stop_when_asked).start()
        what = ContainerSpec("snakeval-test-pull", f"{host}/slow:1", (), "/")
        with blocking.ended_by(stop), pytest.raises(Interrupted):
            connect("docker").prepare(what, print)
        wait_for(lambda: registry.connections == 0, "the engine continues to pull")
