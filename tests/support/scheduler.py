"""A scheduler that snakeval does not know: Snakemake's `cluster-generic`, and lines of shell."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import uuid
from functools import cache
from pathlib import Path

import yaml

from support.fork_server import receive
from support.forks import Process

#: Starts a job in the background and prints its number, as the command `sbatch` does.
START = 'setsid nohup bash "$1" > "$1.log" 2>&1 < /dev/null &\necho $!\n'
#: A job's Snakemake is a fork of a process that has imported it.
_FORKED = """\
sed -i 's#{python} -m snakemake#{python} -I -S {client} {address} -m snakemake#' "$1"
"""
_CLIENT = Path(__file__).with_name("as_fork.py")


def profile(directory: Path, submit: str = START, **settings: object) -> Path:
    """Write a profile for it, and *submit*, which gets the path of a job's script as ``$1``.

    A job is a Snakemake of its own, as on each cluster.
    """
    script = directory / "submit"
    forked = _FORKED.format(python=sys.executable, client=_CLIENT, address=_address())
    script.write_text(f"#!/bin/sh\n{forked}{submit}")
    script.chmod(0o755)
    content = {
        "executor": "cluster-generic",
        "cluster-generic-submit-cmd": str(script),
        "jobs": 4,
        "seconds-between-status-checks": 1,
        "rerun-incomplete": True,
        "latency-wait": 10,
        "logger": "snakeval",
    }
    place = directory / "profile"
    place.mkdir()
    (place / "config.yaml").write_text(yaml.safe_dump(content | settings))
    return place


@cache
def _address() -> str:
    """Start to listen for :mod:`support.as_fork`; return the address."""
    address = f"snakeval-jobs-{uuid.uuid4()}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{address}")
    listener.listen(64)

    def accept() -> None:
        while True:
            channel, _ = listener.accept()
            threading.Thread(target=_start, args=(channel,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return address


def _start(channel: socket.socket) -> None:
    """Start the command that a process asks for, and end it with that process."""
    with channel:
        asked, files = receive(channel)
        process = Process(
            [sys.executable, *asked["words"]], cwd=asked["cwd"], env=asked["env"],
            stdin=files[0], stdout=files[1], stderr=files[2], start_new_session=True,
        )  # fmt: skip
        for file in files:
            os.close(file)
        while process.poll() is None:
            if select.select([channel], [], [], 0.05)[0]:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        channel.sendall(str(process.returncode & 0xFF).encode())
