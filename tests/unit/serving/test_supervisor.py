"""When the pool's process ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval.ledger.start_time import start_time
from snakeval.serving import supervisor, wire
from snakeval.serving.pool import Pool


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Thread]:
    """A supervisor, as a thread, that looks at its pool once an hour."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path))
    monkeypatch.setattr(supervisor, "TICK", 3600.0)
    stop = threading.Event()
    with wire.listen() as listening:
        made = threading.Thread(target=supervisor.work, args=(Pool(), listening, stop))
        made.start()
        yield made
        stop.set()
        made.join(60)


def test_it_ends_at_once_when_the_last_head_leaves(process: threading.Thread) -> None:
    channel = wire.connect()
    channel.send({"do": "status"})
    assert channel.receive(60)["heads"] == []
    channel.close()
    assert process.is_alive()
    channel = wire.connect()
    channel.send({"do": "leave", "head": [os.getpid(), str(start_time(os.getpid()))]})
    assert channel.receive(60) == {"event": "left", "loads": {}}
    channel.close()
    process.join(60)
    assert not process.is_alive()
