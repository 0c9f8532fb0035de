"""The GPUs of this machine: the ids that a server knows them by, and one lock for each of them.

A lock is an abstract Unix socket (unix(7)) with the name of the physical GPU. The kernel gives a
name to one process of the machine, among all users, and takes it back when the last process
that holds the socket ends. No file can be removed, left over or unreadable for others. Processes in
another network namespace have other names: GPUs that are given to several containers at once have
no common lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from threading import Lock

from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving.wire import peer

#: How many GPUs to use, if a person decides it. Snakemake's ``--resources gpu=N`` sets it.
VARIABLE = "SNAKEVAL_GPUS"
#: Without a driver, GPUs are only numbers, which mean the same GPUs within this scope.
SCOPE = "SNAKEVAL_GPU_SCOPE"
_KEEPER = str(Path(__file__).with_name("gpu_keeper.py"))
#: How long the container of an owner that was killed may hold its GPUs, in seconds.
KEEP_SECONDS = 20.0
#: The runtimes whose processes hold the locks themselves.
_KEEPING = frozenset({"process", "apptainer"})


def slots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the GPUs that may be used.

    ``$CUDA_VISIBLE_DEVICES`` if it is set, or else all GPUs that NVML (the driver's library) finds;
    at most ``$SNAKEVAL_GPUS``. Without a driver, ``$SNAKEVAL_GPUS`` is the number of GPUs.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        found = tuple(str(number) for number in range(len(_uuids())))
    else:
        # CUDA ignores everything after the first invalid one (-1, or nothing).
        parts = (part.strip() for part in visible.split(","))
        found = tuple(takewhile(lambda part: part and not part.startswith("-"), parts))
    wanted = environ.get(VARIABLE, "")
    if wanted.isdecimal():
        return found[: int(wanted)] or tuple(str(number) for number in range(int(wanted)))
    return found


def physical(ids: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the name of the physical GPU behind each id: a number, a UUID or the start of one.

    Numbers are those of NVML and ``nvidia-smi``. Without a driver, a number is a name within the
    Slurm job, which has GPUs of its own, or within the machine.
    """
    uuids = _uuids()
    scope = "-".join(filter(None, (environ.get(SCOPE), environ.get("SLURM_JOB_ID"))))
    return {id_: _physical(id_, uuids, scope) for id_ in ids}


def _physical(id_: str, uuids: Sequence[str], scope: str) -> str:
    if id_.isdecimal():
        return uuids[int(id_)] if int(id_) < len(uuids) else f"{scope}-{int(id_)}"
    named = [uuid for uuid in uuids if uuid.lower().startswith(id_.lower())]
    return named[0] if len(named) == 1 else id_


_found: tuple[str, ...] = ()


def _uuids() -> tuple[str, ...]:
    """Return the UUIDs of the GPUs in NVML's order; none without a driver."""
    global _found
    if not _found:
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return ()  # no driver
        try:
            handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
            _found = tuple(_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles)
        finally:
            pynvml.nvmlShutdown()
    return _found


def _text(uuid: str | bytes) -> str:
    return uuid.decode() if isinstance(uuid, bytes) else uuid


def pick(
    free: Collection[str], order: Sequence[str], count: int, named: Sequence[str]
) -> tuple[str, ...] | None:
    """Return *named* GPUs if they are free, or else the first *count* free ones in *order*.

    None if there are too few.

    >>> pick({"1", "2"}, ("0", "1", "2"), 1, ())
    ('1',)
    """
    if named:
        return tuple(named) if set(named) <= set(free) else None
    chosen = [slot for slot in order if slot in free][:count]
    return tuple(chosen) if len(chosen) == count else None


# --- locks --------------------------------------------------------------------------------------


class Locks:
    """The locks of some GPUs. Processes that get :attr:`files` also hold them."""

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._sockets = list(sockets)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._starting = Lock()

    @classmethod
    def of(cls, files: Iterable[int]) -> Locks:
        """Return the locks that another process sent."""
        return cls(socket.socket(fileno=file) for file in files)

    @property
    def files(self) -> tuple[int, ...]:
        """The open files that hold the locks."""
        return tuple(each.fileno() for each in self._sockets)

    def outlive(self, seconds: float = KEEP_SECONDS) -> None:
        """Keep the locks for *seconds* if this process is killed.

        A container that another process runs (an engine, Slurm) ends a little later than its owner.
        """
        with self._starting:
            if self._sockets and self._keeper is None:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", "-S", _KEEPER, str(seconds)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,  # nothing waits for its end
                    stderr=subprocess.DEVNULL,
                    pass_fds=self.files,
                    start_new_session=True,
                )

    def release(self) -> None:
        """Give the GPUs back."""
        if self._keeper is not None:
            with contextlib.suppress(OSError):  # it was killed
                self._keeper.communicate(b"released\n")
            self._keeper = None
        for each in self._sockets:
            each.close()
        self._sockets = []


def with_gpus(
    spec: ContainerSpec,
    runtime: str,
    ids: Sequence[str],
    locks: Locks,
    environ: Mapping[str, str],
) -> ContainerSpec:
    """Return *spec* with its GPUs, whose locks last as long as its processes.

    Docker's engine knows nothing of the numbers within a Slurm job, so it gets UUIDs.
    """
    if not ids:
        return spec
    if runtime not in _KEEPING:
        locks.outlive()
    if runtime == "docker":
        names = physical(ids, environ)
        ids = [names[id_] if names[id_].startswith(("GPU-", "MIG-")) else id_ for id_ in ids]
    return replace(spec, gpu_ids=tuple(ids), keep=locks.files)


def lock(names: Iterable[str]) -> Locks | None:
    """Take the locks of all physical GPUs *names*, or none of them."""
    taken: list[socket.socket] = []
    for name in names:
        listening = _take(name)
        if listening is None:
            Locks(taken).release()
            return None
        taken.append(listening)
    return Locks(taken)


def locked(names: Iterable[str]) -> set[str]:
    """Return those of *names* whose locks are taken."""
    found = set()
    for name in names:
        listening = _take(name)
        if listening is None:
            found.add(name)
        else:
            listening.close()
    return found


def _take(name: str) -> socket.socket | None:
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(_address(name))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    listening.listen(1024)  # nothing accepts: see `holder`
    return listening


def holder(name: str) -> str:
    """Describe the process that took the lock of a GPU."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        with contextlib.suppress(OSError):
            asking.connect(_address(name))
            pid, uid = peer(asking)
            return f"process {pid}{'' if uid == os.getuid() else f' of {_user(uid)}'}"
    return "another process"


def _address(name: str) -> str:
    return f"\0snakeval-gpu-{name}"


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
