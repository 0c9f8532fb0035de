"""Runs a command as the parent of everything that it starts, and leaves nothing of it behind.

    python -I -S reaper.py FD

A process can leave its session and its parent (``setsid``, ray, a daemon), and then neither a
process group nor a parent finds it. The kernel gives such orphans to this process (prctl(2),
PR_SET_CHILD_SUBREAPER), which kills them at the end. FD is a file with the order; see
:func:`snakeval.runtimes.reaped.run_reaped`.

The command ends by itself, at SIGTERM, which this process forwards, or once its owner is gone:
then the other end of standard input is closed. It has ``grace`` seconds in both cases.

This process also remembers which shared memory the command's processes hold. A killed server
removes none of it, so this process does.

It imports nothing of snakeval and little else, so that it starts in 10 ms: each evaluation starts
it once. ``contextlib``, ``json``, ``signal`` and ``typing`` would double that.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # without the names of its constants
import ctypes
import marshal
import os
import select
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER = 36
_MEMORY = "/dev/shm"
#: Prefixes of the shared memory of Python, NCCL and PyTorch.
_NAMES = ("psm_", "sem.", "nccl-", "torch_")
#: How long to try to kill the processes that are left. Some cannot be killed at once.
KILL_SECONDS = 10.0
#: How often to look for shared memory, in seconds: often at first, while servers make it.
_FIRST_LOOK, _LOOK = 0.25, 5.0
#: How much longer than its grace a command has that ends because its owner is gone.
_OWNER_SECONDS = 2.0


#: A file in shared memory: its name and its inode. A later file of the same name has another one.
Segment = tuple[str, int]


def main() -> int:
    """Run the command of the order; return its exit code, or 128 + signal as shells do."""
    with open(int(sys.argv[1]), "rb", closefd=True) as file:  # noqa: PTH123
        file.seek(0)
        order = marshal.load(file)
    for descriptor in order["keep"]:
        os.set_inheritable(descriptor, False)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakes, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(wakes, False)
    told = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.append(time.monotonic()))
    signal.set_wakeup_fd(wake)
    memory = Memory()
    try:
        command = os.posix_spawnp(
            order["argv"][0],
            order["argv"],
            order["env"],
            setpgroup=0,  # a signal to its own group does not reach this process
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT],
        )
    except OSError as error:
        print(f"{order['argv'][0]}: {error.strerror}", file=sys.stderr)
        return 127
    status = _wait(command, float(order["grace"]), wakes, told, memory)
    memory.look()
    left = sweep()
    memory.remove()
    code = 137 if status is None else os.waitstatus_to_exitcode(status)
    if left:
        print(f"snakeval: cannot kill {left}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def _wait(command: int, grace: float, wakes: int, told: list[float], memory: Memory) -> int | None:
    """Return the status of *command*; None if it did not end in time."""
    poll = select.poll()
    poll.register(wakes, select.POLLIN)
    poll.register(0, 0)  # only its end
    until, pause, forwarded = float("inf"), _FIRST_LOOK, False
    next_look = time.monotonic() + pause
    while True:
        _drain(wakes)
        status = _reap(command)
        if status is not None:
            return status
        now = time.monotonic()
        if told and not forwarded:
            forwarded = True
            until = min(until, now + grace)
            _kill(command, signal.SIGTERM)
        if now >= until:
            return None
        if now >= next_look:
            memory.look()
            pause = min(_LOOK, pause * 2)
            next_look = time.monotonic() + pause
        for descriptor, _ in poll.poll(max(0.0, min(until, next_look) - time.monotonic()) * 1000):
            if descriptor == 0:
                poll.unregister(0)
                until = min(until, time.monotonic() + grace + _OWNER_SECONDS)


def _reap(command: int) -> int | None:
    """Take what has ended; return the status of *command* if it has."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == command:
            found = status


def _drain(wakes: int) -> None:
    try:
        os.read(wakes, 1 << 10)
    except BlockingIOError:
        return  # nothing woke this process


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # it has ended, or belongs to another user


def descendants(ancestor: int) -> list[int]:
    """Return the processes below *ancestor*."""
    children: dict[int, list[int]] = {}
    for pid in _processes():
        try:
            fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended
        children.setdefault(int(fields[1]), []).append(pid)
    found: list[int] = []
    below = [ancestor]
    while below:
        below = [child for pid in below for child in children.get(pid, ())]
        found += below
    return found


def sweep(seconds: float = KILL_SECONDS) -> list[int]:
    """Kill every descendant of this process, and return those that cannot be killed."""
    until, pause = time.monotonic() + seconds, 0.001
    while True:
        below = descendants(os.getpid())
        for pid in below:
            _kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return []  # no child is left, so no descendant is
        if time.monotonic() > until:
            return below
        time.sleep(pause)
        pause = min(0.05, pause * 2)


class Memory:
    """The shared memory that the descendants of this process hold."""

    def __init__(self, directory: str = _MEMORY) -> None:
        self._directory = directory
        self._before = set(self._listed())
        self._held: set[Segment] = set()

    def _listed(self) -> Iterator[Segment]:
        try:
            entries = list(os.scandir(self._directory))
        except OSError:
            return  # this machine has none
        for entry in entries:
            if entry.name.startswith(_NAMES):
                yield entry.name, entry.inode()

    def look(self) -> None:
        """Remember what the processes hold now, if it is new since the beginning."""
        if new := set(self._listed()) - self._before - self._held:
            held = {inode for pid in descendants(os.getpid()) for inode in self._mapped(pid)}
            self._held |= {segment for segment in new if segment[1] in held}

    def _mapped(self, pid: int) -> set[int]:
        """Return the inodes that a process maps; see proc(5), maps.

        A semaphore's path there is the one that it had before it got its name.
        """
        begin = f"{self._directory}/".encode()
        try:
            lines = _read(f"/proc/{pid}/maps").splitlines()
        except OSError:
            return set()  # it ended, or belongs to another user
        return {int(line.split(maxsplit=5)[4]) for line in lines if begin in line}

    def remove(self) -> None:
        """Remove what the processes held, unless it may be of use to any other process."""
        there = {segment for segment in self._held & set(self._listed()) if self._is_own(segment)}
        if there:
            used = {inode for pid in _processes() for inode in self._mapped(pid)}
            for name, inode in there:
                if inode not in used:
                    _remove(f"{self._directory}/{name}")

    def _is_own(self, segment: Segment) -> bool:
        """Whether only processes of this user can have it."""
        name, inode = segment
        try:
            found = os.lstat(f"{self._directory}/{name}")
        except OSError:
            return False
        private = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077
        return private and found.st_uid == os.getuid() and found.st_ino == inode


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return  # another process removed it


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
