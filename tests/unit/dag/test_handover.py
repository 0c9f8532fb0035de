"""A configuration that a command checked, taken by the process that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.load import load
from snakeval.dag.handover import Checked, Offer, offered, take
from support.configs import VALID, write
from support.limits import HUNG
from support.served import wait_for

TAKE = """
import os, sys
from pathlib import Path
from snakeval.dag.handover import take
found = [take([Path(sys.argv[1])], {"models": "m"}) for _ in range(2)]
print([each and (each.config.name, each.selection.models) for each in found])
print([name for name in os.environ if name == "SNAKEVAL_CHECKED"])
"""


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, VALID | {"name": "mine"})
    config, selection, _ = load([file], {"models": "m"})
    return Checked((file,), {"models": "m"}, config, selection)


def child(offer: Offer, *command: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", TAKE, *command] if command[0] != "sh" else command,
        pass_fds=offer.descriptors,
        env=offer.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_child_takes_it_once_and_leaves_no_trace(checked: Checked) -> None:
    with offered(checked) as offer:
        assert child(offer, "c.yaml") == ["[('mine', ('m',)), None]", "[]"]


def test_a_configuration_of_another_file_is_not_taken(checked: Checked) -> None:
    with offered(checked) as offer:
        assert child(offer, "d.yaml")[0] == "[None, None]"


def test_a_configuration_with_other_values_is_not_taken(checked: Checked) -> None:
    other = Checked(checked.files, {"models": "n"}, checked.config, checked.selection)
    with offered(other) as offer:
        assert child(offer, "c.yaml")[0] == "[None, None]"


def test_a_grandchild_takes_nothing(checked: Checked) -> None:
    with offered(checked) as offer:
        again = f"'{sys.executable}' -c '{TAKE}' c.yaml; exit $?"
        assert child(offer, "sh", "-c", again)[0] == "[None, None]"


@pytest.mark.parametrize("value", ["", "3", ":", "x:1", "3:1"])
def test_without_an_offer_there_is_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_CHECKED", value)
    assert take([], {}) is None
    assert "SNAKEVAL_CHECKED" not in os.environ


def test_the_configuration_is_the_same_on_both_sides(checked: Checked, tmp_path: Path) -> None:
    code: Any = (
        "import sys; from pathlib import Path; from snakeval.dag.handover import take;"
        "from snakeval.config.load import load; found = take([Path('c.yaml')], {'models': 'm'});"
        "config, selection, _ = load([Path('c.yaml')], {'models': 'm'});"
        "sys.exit(0 if (config, selection) == (found.config, found.selection) else 1)"
    )
    with offered(checked) as offer:
        done = subprocess.run(
            [sys.executable, "-c", code],
            pass_fds=offer.descriptors,
            env=offer.environment,
            check=False,
        )
    assert done.returncode == 0


def test_a_detached_child_holds_no_pipe_and_has_its_own_session(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from snakeval.dag import handover; "
        "print(handover.detach(['sh', '-c', 'echo said; exec sleep 1800'], Path('logs/log')).pid)"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    pid = int(done.stdout)
    try:
        assert time.monotonic() - started < HUNG
        assert os.getsid(pid) == pid
        wait_for(lambda: (tmp_path / "logs" / "log").read_text() == "said\n", "no log")
    finally:
        os.kill(pid, signal.SIGKILL)
