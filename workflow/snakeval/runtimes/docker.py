"""Runs containers on a Docker engine, through Docker's Python SDK."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import IO, TYPE_CHECKING, Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import DeviceRequest, Mount

from snakeval.errors import EvaluationError
from snakeval.runtimes import Outcome, Report, blocking
from snakeval.runtimes.addresses import default_address
from snakeval.runtimes.command_line import by_hand
from snakeval.runtimes.spec import ContainerSpec

if TYPE_CHECKING:
    import requests

_GONE = "the Docker engine stopped answering; start it, then run the same command again"
#: How many seconds to wait for an engine that removes a container itself.
_REMOVAL_SECONDS = 30


def connect() -> Docker:
    """Connect to the engine of ``DOCKER_HOST`` or of the default socket.

    Raises:
        EvaluationError: no engine answers.
    """
    try:
        return Docker(blocking.call(lambda: docker.from_env(version="auto", timeout=60)))
    except DockerException as error:
        raise EvaluationError(
            f"no Docker engine answers ({_short(error)})",
            hint="start one, or set runtime: process",
        ) from None


class Docker:
    """See :class:`snakeval.runtimes.Runtime`."""

    name = "docker"
    isolated = True
    host = "host.docker.internal"

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._user: str | None = None

    @property
    def user(self) -> str:
        """The caller, or root in a rootless engine, which is the caller on the host."""
        if self._user is None:
            self._user = f"{os.getuid()}:{os.getgid()}"
            if os.getuid() != 0:
                options = self._client.info().get("SecurityOptions") or []
                if any("rootless" in option for option in options):
                    self._user = "0:0"
        return self._user

    def bridge_address(self) -> str:
        """Return the address at which bridged containers reach this machine."""
        if self.user.startswith("0:") and os.getuid() != 0:
            return default_address()  # the bridge of a rootless engine is in its own namespace
        try:
            network = blocking.call(lambda: self._client.api.inspect_network("bridge"))
        except (DockerException, OSError) as error:
            raise EvaluationError(f"{_GONE} ({_short(error)})") from None
        for config in (network.get("IPAM") or {}).get("Config") or ():
            if address := config.get("Gateway"):
                return str(address)
        return default_address()

    def has(self, spec: ContainerSpec) -> bool:
        """Return whether the engine has the image."""
        try:
            blocking.call(lambda: self._client.api.inspect_image(spec.image))
        except ImageNotFound:
            return False
        return True

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Pull a missing image, and report each layer."""
        with _sentences(spec):
            if not self.has(spec):
                self._pull(spec, report)
            return self._digest(spec.image)

    def _pull(self, spec: ContainerSpec, report: Report) -> None:
        """Pull in a process of its own: the engine ends a pull when its client is gone."""
        report(f"pulling {spec.image}")
        words = [sys.executable, "-m", "snakeval.runtimes.docker_pull", spec.image]
        ended = blocking.run(words, report, mark=spec.name)
        if ended.code != 0:
            raise EvaluationError(_no_image(spec.image, ended.last_line))
        report(f"pulled {spec.image}")

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run *spec* to its end or to a stop; the engine then removes the container."""
        api = self._client.api
        with _sentences(spec):
            if spec.entry_point:
                spec = spec.completed(api.inspect_image(spec.image)["Config"])
            created = self._create(spec)
            ended = Event()
            stopper = threading.Thread(
                target=self._stop_on_request, args=(created, spec.grace, stop, ended), daemon=True
            )
            lifeline = None
            try:
                end, events = self._await_removal(created), self._fatal_events(created)
                output = api.attach(created, stdout=True, stderr=True, stream=True, logs=True)
                lifeline = self._start(created, spec)
                stopper.start()
                for chunk in output:
                    log.write(chunk)
                    log.flush()
                exit_code = int(end.json()["StatusCode"])
                killed = next(events, {}).get("Action") == "oom"
                return Outcome(exit_code, killed)
            finally:
                ended.set()
                if lifeline is not None:
                    lifeline.close()
                self._remove(created)

    def _create(self, spec: ContainerSpec) -> str:
        definition = self._definition(spec)
        try:
            return str(self._client.api.create_container(**definition)["Id"])
        except APIError as error:
            if error.status_code != 409:
                raise
            # A killed attempt at this evaluation left a container of this name.
            self._remove(spec.name)
            return str(self._client.api.create_container(**definition)["Id"])

    def _await_removal(self, container: str) -> requests.Response:
        """Request the exit code, which arrives after the container's removal, without waiting.

        The request must precede the start, since the engine knows nothing of a removed container.
        The engine answers with the headers as soon as it listens. The SDK's ``wait`` would return
        only at the end.
        """
        api = self._client.api
        response: requests.Response = api.post(
            f"{api.base_url}/v{api.api_version}/containers/{container}/wait",
            params={"condition": "removed"},
            stream=True,
            timeout=None,
        )
        response.raise_for_status()
        return response

    def _fatal_events(self, container: str) -> Iterator[dict[str, Any]]:
        """Listen for the kernel's out-of-memory kills in the container, and then for its end.

        Only the first event matters: a kill or the end.
        """
        # Include events just before the engine listens, independent of its clock.
        beginning = 1
        events: Iterator[dict[str, Any]] = self._client.api.events(
            since=beginning, filters={"container": container, "event": ["oom", "die"]}, decode=True
        )
        return events

    def _definition(self, spec: ContainerSpec) -> dict[str, Any]:
        api = self._client.api
        bridged = spec.network == "bridge"
        limits: dict[str, Any] = {}
        if spec.mem_mb:
            limits["mem_limit"] = f"{spec.mem_mb}m"
        if spec.cpus:
            limits["nano_cpus"] = spec.cpus * 1_000_000_000
        if spec.shm_mb:
            limits["shm_size"] = f"{spec.shm_mb}m"
        if spec.gpu_ids:
            wanted = DeviceRequest(device_ids=list(spec.gpu_ids), capabilities=[["gpu"]])
            limits["device_requests"] = [wanted]
        elif spec.gpus:
            limits["device_requests"] = [DeviceRequest(count=spec.gpus, capabilities=[["gpu"]])]
        shell, *command = spec.guarded()
        return {
            "image": spec.image,
            "name": spec.name,
            "entrypoint": [shell],
            "command": command,
            "environment": dict(spec.env),
            "labels": dict(spec.labels),
            "user": self.user,
            "working_dir": spec.workdir,
            "stdin_open": True,
            "host_config": api.create_host_config(
                mounts=[
                    Mount(mount.target, mount.source, type="bind", read_only=mount.read_only)
                    for mount in spec.mounts
                ],
                network_mode=spec.network,
                extra_hosts={self.host: "host-gateway"} if bridged else None,
                # The engine removes the container even if this process dies.
                auto_remove=True,
                # An init forwards SIGTERM; as PID 1 a harness would never receive it.
                init=True,
                **limits,
            ),
        }

    def _start(self, container: str, spec: ContainerSpec) -> Any:
        """Start the container; return its lifeline, which ends when this process dies."""
        stream = self._client.api.attach_socket(container, params={"stdin": 1, "stream": 1})
        try:
            self._client.api.start(container)
            # The SDK returns the socket itself over TCP and TLS, and a wrapper of a Unix socket.
            raw: socket.socket = getattr(stream, "_sock", stream)
            raw.sendall(spec.greeting())
        except BaseException:
            stream.close()
            raise
        return stream

    def _stop_on_request(self, container: str, grace: int, stop: Event, ended: Event) -> None:
        while not ended.is_set():
            if stop.wait(0.2):
                try:
                    self._client.api.stop(container, timeout=grace)
                except (DockerException, OSError):
                    return  # the container ended, or the engine is gone, which `run` notices
                return

    def _remove(self, container: str) -> None:
        """Remove the container, or wait for the engine, which may already be removing it."""
        until = time.monotonic() + _REMOVAL_SECONDS
        while time.monotonic() < until:
            try:
                self._client.api.remove_container(container, force=True, v=True)
                return
            except NotFound:
                return
            except APIError as error:
                if error.status_code != 409:
                    raise
            time.sleep(0.1)

    def _digest(self, image_name: str) -> str:
        """Return the digest of the image at its registry, or the id of an image built here."""
        image = self._client.api.inspect_image(image_name)
        return str(next(iter(image.get("RepoDigests") or []), image["Id"])).rpartition("@")[2]

    def shell(self, spec: ContainerSpec) -> str:
        """Return ``docker run …``."""
        return by_hand(spec, "docker", self.user)


@contextmanager
def _sentences(spec: ContainerSpec) -> Iterator[None]:
    """Turn errors of the SDK and of its HTTP library into one sentence."""
    import requests

    try:
        yield
    except ImageNotFound as error:
        raise EvaluationError(_no_image(spec.image, _short(error))) from None
    except APIError as error:
        if "could not select device driver" in str(error):
            raise EvaluationError(
                "Docker cannot provide GPUs on this machine",
                hint="install the NVIDIA Container Toolkit, or remove `gpus`",
            ) from None
        raise EvaluationError(f"Docker rejected {spec.image}: {_short(error)}") from None
    except (requests.exceptions.RequestException, DockerException, OSError) as error:
        if isinstance(error, OSError) and error.errno == 28:
            raise
        raise EvaluationError(f"{_GONE} ({_short(error)})") from None


def _no_image(image: str, problem: str) -> str:
    own = " or build it, see docker/README.md" if image.startswith("snakeval/") else ""
    return (
        f"image {image} is not on this machine and cannot be pulled ({problem}); check `image`{own}"
    )


def _short(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    # The SDK wraps the system's message ("No such file or directory") in three more messages.
    if system := re.search(r"Error\(\d+, '([^']+)'\)", text):
        text = system[1]
    return " ".join(text.split())[:300]
