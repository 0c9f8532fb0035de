"""Servers that live and are not well, and the question whether a server served to the end."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from snakeval.errors import EvaluationError
from snakeval.serving import client
from snakeval.serving.pool import Pool
from snakeval.serving.ports import listener
from snakeval.serving.vigil import Patience
from support.limits import HUNG
from support.machine import Machine, eventually, made, pid_of, pool_here, pool_pid, port_of

#: Answers HTTP 500 while the file `sick-<port>` exists, and nothing while `silent` exists. It never
#: answers the request that finds `once`.
_SERVER = """\
import http.server, json, pathlib, sys, time
port, name, state = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if (state / "once").exists():
            (state / "once").unlink()
            time.sleep(1800)
        while (state / "silent").exists():
            time.sleep(0.05)
        body = json.dumps({"data": [{"id": name}]}).encode()
        self.send_response(500 if (state / f"sick-{port}").exists() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
_QUICK = Patience(wrong=2, silent=2, pause=0.05, seconds=10, watch=30)
#: For a server that is silent; one that is well must answer within these seconds.
_SHORT = Patience(wrong=2, silent=2, pause=0.05, seconds=5, watch=30)
#: Looks at servers often, and almost never takes one for unhealthy.
_WATCHING = Patience(wrong=20, silent=200, pause=0.05, seconds=0.3, watch=0.2)


class Ward:
    """A machine with a server whose health the test decides."""

    def __init__(self, machine: Machine, state: Path, pool: Pool | None = None) -> None:
        self.machine, self.state, self.pool = machine, state, pool
        (state / "server.py").write_text(textwrap.dedent(_SERVER))
        self.command = (
            f"exec {sys.executable} {state}/server.py "
            "{{ port }} {{ served_model_name }} "
            f"{state}"
        )

    def deploys(self, **spec: object) -> None:
        self.machine.deploys("careful", "careful/a", command=self.command, **spec)

    def sicken(self, server: client.Served) -> None:
        (self.state / f"sick-{port_of(server)}").touch()

    def sicken_one(self) -> Path:
        """Make one of several instances sick; return the file that makes it so."""
        lines = [p.info["cmdline"] or [""] for p in psutil.process_iter(["cmdline"])]
        ports = [line[2] for line in lines if line[1:2] == [f"{self.state}/server.py"]]
        assert len(ports) == 2
        sick = self.state / f"sick-{ports[0]}"
        sick.touch()
        return sick

    def answers(self, server: client.Served) -> bool:
        try:
            with urllib.request.urlopen(server.url, timeout=HUNG):
                return True
        except urllib.error.HTTPError:
            return False


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    state = tmp_path / "state"
    state.mkdir()
    with made(tmp_path, monkeypatch) as machine, pool_here(_QUICK) as pool:
        yield Ward(machine, state, pool)


def test_a_server_that_is_well_served_without_a_break(ward: Ward) -> None:
    ward.deploys()
    with ward.machine.serve("careful") as servers:
        assert not servers.why_broken()
        assert not servers.why_broken(), "each question has an answer of its own"
        assert ward.machine.lost == []


def test_a_client_gets_another_server_if_the_first_one_is_sick(ward: Ward) -> None:
    ward.deploys()
    with ward.machine.serve("careful") as servers:
        first = servers["careful"]
    ward.sicken(first)
    with ward.machine.serve("careful") as servers:
        assert port_of(servers["careful"]) != port_of(first)
        assert ward.answers(servers["careful"])
        assert not servers.why_broken()


def test_a_sick_server_is_a_break_and_its_users_learn_it(ward: Ward) -> None:
    ward.deploys()
    with ward.machine.serve("careful") as servers:
        ward.sicken(servers["careful"])
        assert "the server went unhealthy: " in servers.why_broken()
        assert "answers HTTP 500" in servers.why_broken()
        eventually(lambda: ward.machine.lost, "no word to the user")
        assert "unhealthy" in ward.machine.lost[0]


def test_a_sick_server_restarts_only_within_its_budget(ward: Ward) -> None:
    ward.deploys(max_restarts=1)
    for _ in range(2):
        with ward.machine.serve("careful") as servers:
            ward.sicken(servers["careful"])
            assert servers.why_broken()
    with (
        pytest.raises(EvaluationError, match="died 2 times; at last: the server went unhealthy"),
        ward.machine.serve("careful"),
    ):
        pass


def test_a_silent_server_may_only_be_busy(ward: Ward) -> None:
    assert ward.pool is not None
    ward.pool._patience = _SHORT
    ward.deploys()
    with ward.machine.serve("careful") as servers:
        silent = ward.state / "silent"
        (ward.state / "once").touch()
        assert not servers.why_broken(), "it answers the second time"
        assert not (ward.state / "once").exists()
        silent.touch()
        assert "no whole answer within 5 s" in servers.why_broken()
        silent.unlink()


def test_a_killed_server_is_a_break_although_the_pool_has_not_noticed(ward: Ward) -> None:
    ward.deploys()
    for _ in range(3):
        with ward.machine.serve("careful") as servers:
            os.kill(pid_of(servers["careful"]), signal.SIGKILL)
            assert servers.why_broken()
            assert servers.why_broken(), "a break is final"


def test_a_server_that_was_restarted_meanwhile_is_a_break(ward: Ward) -> None:
    ward.deploys()
    with ward.machine.serve("careful") as servers:
        os.kill(pid_of(servers["careful"]), signal.SIGKILL)
        eventually(lambda: ward.machine.lost, "no word to the user")
        with ward.machine.serve("careful") as others:
            assert not others.why_broken()
            assert servers.why_broken()


@pytest.mark.haproxy
def test_an_instance_that_is_sick_restarts_and_is_a_break_for_its_users(ward: Ward) -> None:
    ward.deploys(instances=2)
    with ward.machine.serve("careful") as servers:
        eventually(lambda: instances() == ["ready", "ready"], "not two instances")
        assert not servers.why_broken()
        sick = ward.sicken_one()
        assert servers.why_broken() == "one of its servers was unhealthy"
        sick.unlink()
        eventually(lambda: instances() == ["ready", "ready"], "no new instance")
        assert ward.machine.lost == [], "the other one serves"
        with ward.machine.serve("careful") as others:
            assert not others.why_broken()
        assert servers.why_broken(), "a break is final"


def instances() -> list[str]:
    status = client.status()
    assert status is not None
    return [str(state) for state in status["servers"][0]["instances"]]


def test_no_answer_of_the_pool_is_a_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with made(tmp_path, monkeypatch) as machine:
        ward = Ward(machine, state)
        ward.deploys()
        with machine.serve("careful") as servers:
            pid = pool_pid()
            os.kill(pid, signal.SIGSTOP)
            started = time.monotonic()
            assert servers.why_broken(0.3) == "the pool of servers does not answer"
            assert time.monotonic() - started < HUNG, "it waits for no longer than it was told"
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: machine.lost, "no word to the user")
            assert servers.why_broken() == "the pool of servers ended"


def test_models_that_never_end_obey_the_time_to_get_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drips = tmp_path / "drips.py"
    drips.write_text(
        "import http.server, sys, time\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        while True:\n"
        "            self.wfile.write(b' ')\n"
        "            time.sleep(0.1)\n"
        "address = '127.0.0.1', int(sys.argv[1])\n"
        "http.server.ThreadingHTTPServer(address, Handler).serve_forever()\n"
    )
    with made(tmp_path, monkeypatch) as machine, pool_here(_QUICK):
        command = f"exec {sys.executable} -S {drips} {{{{ port }}}}"
        machine.deploys("careful", command=command, readiness_timeout=15)
        with pytest.raises(EvaluationError) as failed, machine.serve("careful"):
            pass
    assert "the server was not ready after 15 s (it does not answer: no whole" in str(failed.value)


# --- breaks between two questions -----------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    state = tmp_path / "state"
    state.mkdir()
    with made(tmp_path, monkeypatch) as machine, pool_here(_WATCHING):
        yield Ward(machine, state)


def loses(ward: Ward, why: str) -> None:
    eventually(lambda: ward.machine.lost, "no word to the user")
    assert ward.machine.lost == [f"the server did not serve without a break: {why}"]


def test_a_server_that_was_sick_for_a_while_is_a_break(watched: Ward) -> None:
    watched.deploys()
    with watched.machine.serve("careful") as servers:
        watched.sicken(servers["careful"])
        loses(watched, f"{servers['careful'].url.partition('/v1')[0]}/health answers HTTP 500")
        (watched.state / f"sick-{port_of(servers['careful'])}").unlink()
        with watched.machine.serve("careful") as others:
            assert others == servers, "it serves others"
            assert not others.why_broken()
        assert servers.why_broken(), "a break is final"


def test_a_server_that_was_suspended_is_a_break(watched: Ward) -> None:
    watched.deploys()
    with watched.machine.serve("careful") as servers:
        os.kill(pid_of(servers["careful"]), signal.SIGSTOP)
        loses(watched, "one of its processes was suspended")
        os.kill(pid_of(servers["careful"]), signal.SIGCONT)
        with watched.machine.serve("careful") as others:
            assert others == servers, "it serves others"
        assert servers.why_broken(), "a break is final"


@pytest.mark.parametrize("patience", [_QUICK, _WATCHING], ids=["asked", "watched"])
def test_a_server_that_its_command_starts_again_is_a_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: Patience
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with made(tmp_path, monkeypatch) as machine, pool_here(patience):
        ward = Ward(machine, state)
        ward.command = f"while true; do {ward.command.removeprefix('exec ')}; done"
        ward.deploys()
        with machine.serve("careful") as servers:
            first = pid_of(servers["careful"])
            os.kill(first, signal.SIGKILL)
            eventually(lambda: listens_anew(servers["careful"], first), "it does not start again")
            if patience is _QUICK:
                assert "another process took over its port" in servers.why_broken()
            else:
                eventually(lambda: machine.lost, "no word to the user")
            assert servers.why_broken()


def listens_anew(server: client.Served, first: int) -> bool:
    process = listener(port_of(server))
    return process is not None and process.pid != first
