"""Runs containers: by the local Docker engine, or as processes where there is none."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

Line = tuple[int, str]  #: ns since the epoch, text


@dataclass(frozen=True)
class Container:
    """What to run."""

    image: str
    command: list[str]
    env: dict[str, str]
    mounts: list[tuple[Path, str, bool]] = field(default_factory=list)  #: here, there, read only
    port: int | None = None


class CannotStartError(Exception):
    """Kubernetes' reason for a container that does not start is the first argument."""


class Workload(Protocol):
    """A container that was started."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""

    def stop(self, grace: float) -> None:
        """Signal it to end, and end it."""

    def lines(self) -> list[Line]:
        """Return what it has printed."""

    def address(self) -> tuple[str, int]:
        """Return where its port answers."""


class Runner(Protocol):
    """Starts containers."""

    def start(self, container: Container) -> Workload:
        """Start one."""

    def close(self) -> None:
        """End all that still run."""


def runner(kind: str) -> Runner:
    """Return the runner *kind*: docker, process, or auto."""
    if kind == "auto":
        kind = "docker" if _engine_answers() else "process"
    return DockerRunner() if kind == "docker" else ProcessRunner()


def _engine_answers() -> bool:
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    return asked.returncode == 0


class DockerRunner:
    """Containers of the Docker engine, with a label of this stand-in."""

    def __init__(self) -> None:
        self._label = f"lepton-standin={uuid.uuid4().hex[:12]}"

    def start(self, container: Container) -> Workload:
        name = f"lepton-{uuid.uuid4().hex[:12]}"
        options = ["--detach", "--name", name, "--label", self._label, "--pull", "never"]
        # A job may talk to services of this machine; replicas may share a port number.
        port = container.port
        options += ["--publish", f"127.0.0.1:0:{port}"] if port else ["--network", "host"]
        for here, there, read_only in container.mounts:
            options += ["--volume", f"{here}:{there}{':ro' if read_only else ''}"]
        # By name: values may have several lines, and do not belong on a command line.
        options += [word for name_ in container.env for word in ("--env", name_)]
        if container.command:
            options += ["--entrypoint", container.command[0]]
        words = ["docker", "run", *options, container.image, *container.command[1:]]
        env = {**os.environ, **container.env}
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return _DockerWorkload(name, container.port)
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        missing = "No such image" in done.stderr or "Unable to find image" in done.stderr
        raise CannotStartError("ErrImagePull" if missing else "RunContainerError", done.stderr)

    def close(self) -> None:
        listed = subprocess.run(
            ["docker", "ps", "--all", "--quiet", "--filter", f"label={self._label}"],
            capture_output=True, text=True, check=False,
        ).stdout.split()  # fmt: skip
        if listed:
            subprocess.run(["docker", "rm", "--force", *listed], capture_output=True, check=False)


class _DockerWorkload:
    def __init__(self, name: str, port: int | None) -> None:
        self._name = name
        self._port = port
        self._code: int | None = None
        self._lines: list[Line] | None = None
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        waited = subprocess.run(
            ["docker", "wait", self._name], capture_output=True, text=True, check=False
        )
        self._lines = self._read()
        self._code = int(waited.stdout.strip() or 137) if waited.returncode == 0 else 137
        subprocess.run(["docker", "rm", "--force", self._name], capture_output=True, check=False)

    def poll(self) -> int | None:
        return self._code

    def stop(self, grace: float) -> None:
        subprocess.run(
            ["docker", "stop", "--time", str(int(grace)), self._name],
            capture_output=True, check=False,
        )  # fmt: skip

    def lines(self) -> list[Line]:
        return self._read() if self._lines is None else self._lines

    def _read(self) -> list[Line]:
        read = subprocess.run(
            ["docker", "logs", "--timestamps", self._name],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        if read.returncode != 0:
            return []
        result = []
        for line in read.stdout.decode(errors="replace").splitlines():
            at, _, text = line.partition(" ")
            with contextlib.suppress(ValueError):
                result.append((_nanoseconds(at), text))
        return result

    def address(self) -> tuple[str, int]:
        shown = subprocess.run(
            ["docker", "inspect", "--format", "{{json .NetworkSettings.Ports}}", self._name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        ports = json.loads(shown.stdout.strip() or "{}") or {}
        bound = (ports.get(f"{self._port}/tcp") or [{}])[0]
        return "127.0.0.1", int(bound.get("HostPort", 0))


def _nanoseconds(stamp: str) -> int:
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0")[:9])


class ProcessRunner:
    """Processes of this machine. An image whose name begins with ``missing/`` cannot be pulled."""

    def __init__(self) -> None:
        self._started: list[_ProcessWorkload] = []

    def start(self, container: Container) -> Workload:
        if container.image.startswith("missing/"):
            raise CannotStartError("ErrImagePull", container.image)
        words = list(container.command)
        if container.mounts:
            # A mount namespace of its own, as a container has.
            script = "".join(
                f"mkdir -p '{there}' && mount --bind '{here}' '{there}' && "
                for here, there, _ in container.mounts
            )
            words = ["unshare", "--mount", "sh", "-c", f'{script}exec "$@"', "sh", *words]
        env = {"PATH": os.environ["PATH"], "HOME": "/tmp", **container.env}
        try:
            process = subprocess.Popen(
                words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CannotStartError("RunContainerError", str(error)) from None
        workload = _ProcessWorkload(process, container.port)
        self._started.append(workload)
        return workload

    def close(self) -> None:
        for workload in self._started:
            workload.stop(0)


class _ProcessWorkload:
    def __init__(self, process: subprocess.Popen[bytes], port: int | None) -> None:
        self._process = process
        self._port = port
        self._lines: list[Line] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append((time.time_ns(), line.decode(errors="replace").rstrip("\n")))

    def poll(self) -> int | None:
        code = self._process.poll()
        if code is None:
            return None
        # What it printed last is read before it counts as ended.
        self._reader.join(2)
        return code if code >= 0 else 128 - code

    def stop(self, grace: float) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if number is signal.SIGTERM and grace <= 0:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace if number is signal.SIGTERM else max(grace, 2))
                if number is signal.SIGTERM:
                    continue

    def lines(self) -> list[Line]:
        return list(self._lines)

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._port or 0
