"""A server whose image is still converted stops, and so does the conversion."""

from __future__ import annotations

import threading
from pathlib import Path
from threading import Event

import pytest

from snakeval.errors import Interrupted
from snakeval.processes import process_lives
from snakeval.serving import client
from snakeval.serving.pool import LINGER
from support.hanging import installed
from support.limits import HUNG
from support.machine import Machine, eventually, made, pool_here


def test_the_conversion_of_a_servers_image_ends_with_its_last_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = installed(tmp_path, monkeypatch)
    with (
        made(tmp_path, monkeypatch) as machine,
        pool_here(linger=dict.fromkeys(LINGER, 0.1)) as pool,
    ):
        machine.deploys("m", "m/b", runtime="apptainer", image="registry.example/server:1")
        stop = Event()
        asking = threading.Thread(target=ask, args=(machine, stop))
        asking.start()
        eventually(hangs.exists, "nothing is converted")
        pid = int(hangs.read_text())
        stop.set()
        asking.join(timeout=HUNG)
        client.leave(machine.head)
        eventually(lambda: not process_lives(pid), "the conversion continues")
        eventually(lambda: not pool.status()["servers"], "the server is left")


def ask(machine: Machine, stop: Event) -> None:
    with pytest.raises(Interrupted), machine.serve("m", stop=stop):
        pass
