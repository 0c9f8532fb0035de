"""The pool with real servers: the demo's, as processes of this machine.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest

from snakeval.errors import EvaluationError, Interrupted
from snakeval.processes import process_lives
from snakeval.serving import client, gpus
from snakeval.serving.wire import directory
from support.limits import HUNG
from support.machine import SERVE, Machine, eventually, made, pid_of, pool_here, pool_pid


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with made(tmp_path, monkeypatch) as machine:
        yield machine


def listens(server: client.Served) -> bool:
    host, _, port = server.url.split("/")[2].partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_one_server_serves_all_that_ask_and_ends_with_its_head(machine: Machine) -> None:
    machine.deploys("careful", "careful/a", "careful/b")
    with machine.serve("careful") as first, machine.serve("careful") as second:
        assert first == second
        server = first["careful"]
        with urllib.request.urlopen(server.url.removesuffix("/chat/completions") + "/models") as it:
            assert json.load(it)["data"][0]["id"] == "careful"
        status = client.status()
        assert status is not None
        assert [s["users"] for s in status["servers"]] == [["a test", "a test"]]
        run = str(machine.run.resolve())
        assert [s["runs"] for s in status["servers"]] == [[run]]
        assert status["clients"] == [{"run": run, "who": "a test", "holds": True}] * 2
    assert listens(server), "it is kept for the evaluations to come"
    assert client.leave(machine.head) == {"careful": 1}
    assert not listens(server)
    assert Path(server.log).read_text().startswith("Serving careful at")


def test_a_server_with_nothing_left_to_do_ends(machine: Machine) -> None:
    machine.deploys("careful")
    with machine.serve("careful") as servers:
        pass
    eventually(lambda: not listens(servers["careful"]), "it is still there")


def test_an_idle_one_ends_after_its_time(machine: Machine) -> None:
    machine.deploys("careful", "careful/a", idle_timeout=1)
    with machine.serve("careful") as servers:
        pass
    eventually(lambda: not listens(servers["careful"]), "it is still there")


def test_models_that_do_not_fit_together_take_turns(machine: Machine) -> None:
    machine.deploys("careful", gpus=1)
    machine.deploys("sloppy", gpus=1)
    turns = []

    def evaluate() -> None:
        with machine.serve("sloppy") as servers:
            assert servers["sloppy"].gpus == ("0",)
            turns.append("sloppy")

    with machine.serve("careful") as servers:
        assert servers["careful"].gpus == ("0",)
        thread = threading.Thread(target=evaluate)
        thread.start()
        eventually(lambda: any("waits for GPUs" in text for text in machine.heard), "no word")
        time.sleep(0.2)
        turns.append("careful")
    thread.join(timeout=HUNG)
    assert turns == ["careful", "sloppy"]
    assert not listens(servers["careful"])


def test_models_that_fit_are_served_side_by_side(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_GPUS", "2")
    machine.deploys("careful", gpus=1)
    machine.deploys("sloppy", gpus=[1])
    with machine.serve("sloppy") as second, machine.serve("careful") as first:
        assert (first["careful"].gpus, second["sloppy"].gpus) == (("0",), ("1",))
    with machine.serve("careful", "sloppy") as both:
        assert {server.gpus for server in both.values()} == {("0",), ("1",)}


def waits(machine: Machine) -> bool:
    return any("waits for GPUs" in text for text in machine.heard)


def test_two_pools_of_a_machine_share_its_gpus(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.deploys("careful", gpus=1)
    other = Machine(tmp_path / "other")
    other.deploys("sloppy", gpus=1)
    with machine.serve("careful"):
        pid = pool_pid()
        monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home" / "other"))
        found: list[client.Served] = []
        with ThreadPoolExecutor() as thread:
            waiting = thread.submit(lambda: with_servers(other, found))
            eventually(lambda: waits(other), "no word")
            assert other.heard[-1] == f"waits for GPUs that are in use, some by process {pid}"
            assert not found
            monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
            client.leave(machine.head)
            waiting.result()
    assert [server.gpus for server in found] == [("0",)]
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home" / "other"))
    client.leave(other.head)


def with_servers(machine: Machine, found: list[client.Served]) -> None:
    with machine.serve("sloppy") as servers:
        found.append(servers["sloppy"])


def test_a_harness_has_gpus_of_its_own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_GPUS", "2")
    machine.deploys("careful", "careful/a", gpus=1)
    got: list[tuple[str, ...]] = []
    with ThreadPoolExecutor() as thread:
        with machine.serve("careful", gpus=1) as servers:
            assert (servers["careful"].gpus, servers.gpus) == (("0",), ("1",))
            waiting = thread.submit(lambda: harness(machine, got))
            eventually(lambda: waits(machine), "no word")
            assert not got
        waiting.result()
    assert got == [("1",)]


def harness(machine: Machine, got: list[tuple[str, ...]]) -> None:
    with machine.serve(gpus=1) as servers:
        got.append(servers.gpus)
        assert not servers.why_broken()


def test_a_harness_keeps_its_gpus_if_the_pool_is_killed(machine: Machine) -> None:
    with machine.serve(gpus=1) as servers:
        os.kill(pool_pid(), signal.SIGKILL)
        names = gpus.physical(servers.gpus, os.environ).values()
        time.sleep(0.3)
        assert gpus.locked(names) == set(names)
        assert not servers.why_broken(), "no server, no break"
        assert machine.lost == []
    assert gpus.locked(names) == set()


def test_too_few_gpus_for_a_harness_beside_its_server_is_an_error(machine: Machine) -> None:
    machine.deploys("careful", gpus=1)
    wanted = "careful 1, the harness 1 of its own, and this machine has 1 (0); lower `gpus`"
    with pytest.raises(EvaluationError) as failed, machine.serve("careful", gpus=1):
        pass
    assert wanted in str(failed.value)


def test_a_machine_without_known_gpus_counts_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("SNAKEVAL_GPUS")
    with machine.serve(gpus=1) as servers:
        assert servers.gpus == ()


def test_idle_servers_of_two_pools_do_not_block_each_other(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pool has an idle server on one GPU, and a client that needs both GPUs."""
    monkeypatch.setenv("SNAKEVAL_GPUS", "2")
    other = gpus.lock(gpus.physical(["1"], os.environ).values())
    assert other is not None
    machine.deploys("careful", "careful/a", gpus=1)
    machine.deploys("sloppy", gpus=2)
    with pool_here(linger={"missing": 0.2, "failed": 0, "": 0}), ThreadPoolExecutor() as thread:
        with machine.serve("careful") as servers:
            server = servers["careful"]
        stop = Event()
        waiting = thread.submit(lambda: waits_until(machine, stop))
        eventually(lambda: not listens(server), "it keeps its idle server")
        stop.set()
        waiting.result()
    other.release()


def waits_until(machine: Machine, stop: Event) -> None:
    with pytest.raises(Interrupted), machine.serve("sloppy", stop=stop):
        pass


def test_a_gpu_is_free_only_after_its_server_has_ended(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It notes the signal, and the server ignores it. The demo's command would wait for it.
    (tmp_path / "serve.py").write_text(
        "import sys, time\n"
        "from snakeval.demo.server import serve\n"
        "with serve(sys.argv[3:], sys.argv[1], int(sys.argv[2])):\n"
        "    time.sleep(1800)\n"
    )
    serve = f"python3 {tmp_path}/serve.py {{{{ host }}}} {{{{ port }}}} {{{{ served_model_name }}}}"
    ready, told = tmp_path / "ready", tmp_path / "told"
    notes = f"(trap 'touch {told}' TERM; touch {ready}; while :; do sleep 0.1; done) &"
    ready_first = f"while [ ! -e {ready} ]; do sleep 0.05; done"
    stubborn = f"{notes} {ready_first}; trap '' TERM; {serve} & while :; do sleep 0.1; done"
    machine.deploys("careful", "careful/a", gpus=1, command=stubborn)
    names = gpus.physical(["0"], os.environ).values()
    with machine.serve("careful") as servers:
        serving = psutil.Process(pid_of(servers["careful"]))
        os.kill(pool_pid(), signal.SIGKILL)
        eventually(told.exists, "the server does not learn of its pool's end")
        assert gpus.locked(names)
        assert serving.is_running()
        # As at the end of its grace, 15 s later.
        os.killpg(os.getpgid(serving.pid), signal.SIGKILL)
        while gpus.locked(names):
            time.sleep(0.02)
        assert not serving.is_running()


def test_a_clean_up_of_tmp_does_not_separate_clients_from_the_pool(machine: Machine) -> None:
    machine.deploys("careful", "careful/a", gpus=1)
    with machine.serve("careful") as first:
        pid = pool_pid()
        shutil.rmtree(directory())
        with machine.serve("careful") as second:
            assert first == second
            assert pool_pid() == pid
    assert client.leave(machine.head) == {"careful": 1}
    assert not listens(first["careful"])


def test_the_first_model_of_a_run_is_loaded_first_however_jobs_race(machine: Machine) -> None:
    machine.deploys("careful", "careful/a", gpus=1)
    machine.deploys("sloppy", "sloppy/a", gpus=1)
    with pytest.raises(client.Busy), machine.serve("sloppy", eager=True):
        pass
    with machine.serve("careful", eager=True) as servers:
        assert listens(servers["careful"])


def test_users_of_a_server_that_dies_learn_the_reason_and_it_restarts(machine: Machine) -> None:
    machine.deploys("careful", "careful/a", max_restarts=1)
    for last in (False, True):
        with machine.serve("careful") as servers:
            os.kill(pid_of(servers["careful"]), signal.SIGKILL)
            eventually(lambda: machine.lost, "nobody says that it is lost")
        assert machine.lost.pop().startswith("the server was killed (SIGKILL)")
        if last:
            with (
                pytest.raises(
                    EvaluationError, match="the server died 2 times; at last: the server"
                ),
                machine.serve("careful"),
            ):
                pass
    # Another head starts with a clean slate.
    other = subprocess.Popen(["sleep", "60"])
    try:
        with machine.serve("careful", head=client.head_of(other.pid)) as servers:
            assert listens(servers["careful"])
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            {"command": "echo loading; echo 'ValueError: no such model' >&2; exit 3"},
            "the server ended with exit code 3 before it was ready: ValueError: no such model",
        ),
        (
            {"command": "no-such-server --port {{ port }}"},
            "the server's command was not found (exit code 127) before it was ready",
        ),
        (
            {"command": "echo 'half way'; sleep 1800", "readiness_timeout": 15},
            "the server was not ready after 15 s (it does not answer: [Errno 111] Connection "
            "refused); raise readiness_timeout; its log ends: half way",
        ),
        ({"command": "serve {{ nothing }}"}, "'nothing' is undefined; correct it"),
        (
            {"gpus": 8},
            "GPUs that are not there: careful 8, and this machine has 1 (0); lower `gpus`, or say "
            "how many there are with --resources gpu=N",
        ),
        ({"gpus": [0, 5]}, "GPUs that are not there: careful the GPUs 0,5, and this machine has 1"),
    ],
)
def test_what_never_gets_ready_has_its_reason(
    machine: Machine, spec: dict[str, Any], reason: str
) -> None:
    machine.deploys("careful", **spec)
    for _ in range(2):  # the second one hears it at once
        with pytest.raises(EvaluationError) as failed, machine.serve("careful"):
            pass
        assert str(failed.value).startswith("deployment failed: ")
        assert reason in str(failed.value)


def test_a_name_that_the_server_does_not_list_fails_with_the_names_that_it_lists(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = SERVE.replace("{{ served_model_name }}", "careful,sloppy")
    machine.deploys("llama", command=command)
    with pytest.raises(EvaluationError) as failed, machine.serve("llama"):
        pass
    sentence = "/v1/models does not list 'llama', but careful, sloppy; correct served_model_name"
    assert sentence in str(failed.value)


def test_a_port_in_use_fails_with_the_process_that_uses_it(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        machine.deploys("careful", port=port)
        with pytest.raises(EvaluationError) as failed, machine.serve("careful"):
            pass
    assert f"port {port} is in use by " in str(failed.value)
    assert f"(pid {os.getpid()}); free it, or leave out `port`" in str(failed.value)


def test_a_free_port_that_another_process_takes_first_costs_another_try(
    machine: Machine, tmp_path: Path
) -> None:
    steal = f"[ -e {tmp_path}/stolen ] || {{ touch {tmp_path}/stolen; echo 'Errno 98'; exit 1; }}; "
    machine.deploys("careful", command=steal + SERVE)
    with machine.serve("careful") as servers:
        assert servers["careful"].log.endswith("server.log")
        assert Path(servers["careful"].log).resolve().name == "server-2.log"
    assert any("another program took port" in text for text in machine.heard)


def test_the_last_line_of_the_log_is_reported_while_the_server_loads(machine: Machine) -> None:
    machine.deploys("careful", command=f"echo 'shard 1 of 2'; sleep 6; {SERVE}")
    with machine.serve("careful"):
        pass
    assert any(text.endswith(" s: shard 1 of 2") for text in machine.heard)


def test_kill_9_of_the_supervisor_ends_the_servers_and_the_next_who_asks_has_them_again(
    machine: Machine,
) -> None:
    machine.deploys("careful", "careful/a")
    with machine.serve("careful") as servers:
        os.kill(pool_pid(), signal.SIGKILL)
        eventually(lambda: machine.lost, "nobody says that it is lost")
        assert machine.lost == ["the pool of servers ended"]
        eventually(lambda: not listens(servers["careful"]), "the server outlives it")
    with machine.serve("careful") as servers:
        assert listens(servers["careful"])


def test_the_death_of_a_head_ends_what_only_it_used(machine: Machine) -> None:
    machine.deploys("careful", "careful/a")
    other = subprocess.Popen(["sleep", "60"])
    with machine.serve("careful", head=client.head_of(other.pid)) as servers:
        pass
    other.kill()
    other.wait()
    eventually(lambda: not listens(servers["careful"]), "the server is left")
    eventually(lambda: client.status() is None, "the supervisor is left")


def test_a_helper_with_a_session_of_its_own_ends_with_its_server(
    machine: Machine, tmp_path: Path
) -> None:
    helper = f"(exec setsid sh -c 'echo $$ > {tmp_path}/draft; mv {tmp_path}/draft {tmp_path}/pid;"
    helper += " exec sleep 1800') > /dev/null & "
    machine.deploys("careful", "careful/a", command=helper + SERVE)
    with machine.serve("careful"):
        eventually((tmp_path / "pid").exists, "no helper")
        pid = int((tmp_path / "pid").read_text())
        assert process_lives(pid)
    client.leave(machine.head)
    assert not process_lives(pid)


def test_waiting_for_a_server_can_be_stopped(machine: Machine) -> None:
    machine.deploys("careful", command="sleep 1800")
    stop = Event()
    threading.Timer(1, stop.set).start()
    with pytest.raises(Interrupted), machine.serve("careful", stop=stop):
        pass


def test_a_secret_reaches_the_server_and_nothing_that_others_see(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    word = uuid.uuid4().hex  # others may test the same at the same time
    canary = f"sk-'{word}'$(touch x)"
    monkeypatch.setenv("MY_TOKEN", canary)
    check = f'printf %s "$HF_TOKEN" | sha256sum > {tmp_path}/digest; '
    machine.deploys("careful", command=check + SERVE, env={"HF_TOKEN": "MY_TOKEN"})
    with machine.serve("careful") as servers:
        lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
        assert not any(word in line for line in lines)
        assert listens(servers["careful"])
    expected = hashlib.sha256(canary.encode()).hexdigest()
    assert (tmp_path / "digest").read_text().startswith(expected)
    for path in [*tmp_path.rglob("*"), *directory().iterdir()]:
        if path.is_file():
            assert word.encode() not in path.read_bytes()


def ask(server: client.Served) -> None:
    """Ask the model something."""
    body = json.dumps({"model": "careful", "messages": [{"role": "user", "content": "1 + 1"}]})
    request = urllib.request.Request(
        server.url, body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=HUNG) as answer:
        assert json.load(answer)["model"] == "careful"


def ready(count: int) -> bool:
    status = client.status()
    return status is not None and status["servers"][0]["instances"] == ["ready"] * count


def instances(machine: Machine) -> list[psutil.Process]:
    """The servers behind the proxy, each the program itself."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if line[1:3] == ["-m", "snakeval.demo.server"] and str(machine.run.parent) in str(
                process.environ().get("SNAKEVAL_HOME")
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def all_answer(machine: Machine, server: client.Served) -> bool:
    """Ask once more; whether each instance has answered, so the proxy knows that it is there."""
    ask(server)
    counts = []
    for process in instances(machine):
        port = process.cmdline()[process.cmdline().index("--port") + 1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=HUNG) as stats:
            counts.append(json.load(stats)["answered"])
    return all(counts)


@pytest.mark.haproxy
class TestInstances:
    def test_several_servers_have_one_address_and_end_together(self, machine: Machine) -> None:
        machine.deploys("careful", "careful/a", instances=3)
        with machine.serve("careful") as servers:
            eventually(lambda: ready(3), "not three instances")
            ask(servers["careful"])
            place = machine.run / "careful/deployment"
            made = {path.parent.name for path in place.glob("*/server.log")}
            assert made == {"instance-0", "instance-1", "instance-2", "proxy"}
        client.leave(machine.head)
        assert instances(machine) == []
        assert not listens(servers["careful"])

    def test_an_instance_that_dies_restarts_and_no_request_fails(self, machine: Machine) -> None:
        machine.deploys("careful", "careful/a", instances=2)
        with machine.serve("careful") as servers:
            eventually(lambda: ready(2), "not two instances")
            # The proxy may take an instance that it asked too early for dead, for two seconds.
            eventually(lambda: all_answer(machine, servers["careful"]), "one is not asked")
            victim = instances(machine)[0]
            victim.kill()
            victim.wait(60)  # whom it dies with in hand HAProxy tells so: harnesses ask again
            for _ in range(20):
                ask(servers["careful"])
            eventually(lambda: victim not in instances(machine) and ready(2), "no new one")
            assert machine.lost == []

    def test_when_all_are_dead_the_model_is_lost(self, machine: Machine) -> None:
        machine.deploys("careful", "careful/a", instances=2)
        with machine.serve("careful"):
            eventually(lambda: ready(2), "not two instances")
            for process in instances(machine):
                process.suspend()
            for process in instances(machine):
                process.kill()
            eventually(lambda: machine.lost, "nobody says that it is lost")
            assert machine.lost[0].startswith("instance ")

    def test_each_has_gpus_of_its_own(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SNAKEVAL_GPUS", "4")
        machine.deploys("careful", gpus=2, instances=2)
        with machine.serve("careful") as servers:
            assert servers["careful"].gpus == ("0", "1", "2", "3")
            eventually(lambda: ready(2), "not two instances")
            seen = {p.environ()["CUDA_VISIBLE_DEVICES"] for p in instances(machine)}
            assert seen == {"0,1", "2,3"}
        machine.deploys("sloppy", gpus=3, instances=2)
        with pytest.raises(EvaluationError, match="sloppy 3 x 2, and this machine has 4"):
            machine.serve("sloppy").__enter__()


def test_several_nodes_need_a_slurm_job(machine: Machine) -> None:
    machine.deploys("careful", nodes=2)
    refused = "careful needs 2 nodes, and this is no Slurm job; use --profile slurm with so many"
    with pytest.raises(EvaluationError, match=refused), machine.serve("careful"):
        pass
