"""The pool: servers, their clients and the account of GPUs.

Long because one lock guards the servers, the clients and the heads, which change together.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation.events import Event, Journal
from snakeval.processes import process_lives
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.gpus import Locks, holder
from snakeval.serving.group import Group
from snakeval.serving.loading import Doubt, brought
from snakeval.serving.nodes import Place
from snakeval.serving.placement import (
    closed,
    fit,
    impossible,
    leaves_room,
    lock_all,
    sharing,
    to_do,
)
from snakeval.serving.plan import Plan
from snakeval.serving.pool_client import Account, Client, Head
from snakeval.serving.server import Server
from snakeval.serving.turns import Turns
from snakeval.serving.vigil import PATIENCE, Patience
from snakeval.serving.wire import Message

#: How many seconds an unused server waits for the next evaluation. The key is the remaining work of
#: the server: missing evaluations, failed ones that Snakemake may retry at once, or none.
LINGER = {"missing": 20.0, "failed": 3.0, "": 0.0}
#: How often heads are looked for, in seconds.
TICK = 1.0


class Pool:
    """The state, under one lock. Every change wakes all waiting threads.

    ``left``: whether a head has come and gone.
    """

    def __init__(self, patience: Patience = PATIENCE, linger: Mapping[str, float] = LINGER) -> None:
        self._patience = patience
        self._linger = linger
        self._changed = threading.Condition()
        self._servers: dict[str, Server | Group] = {}
        self._users: dict[str, set[tuple[Head, RunDirectory, str]]] = {}
        self._idle_since: dict[str, float] = {}
        self._clients: list[Client] = []
        self._heads: dict[Head, Account] = {}
        self._turns = Turns()
        self._closing = self._closed = False
        self.left = False

    # --- clients --------------------------------------------------------------------------

    def serve(self, client: Client) -> None:
        """Give *client* its servers and keep them for it until it is gone."""
        with self._changed:
            if self._closing:  # the next pool serves it, once the servers of this pool have ended
                self._changed.wait_for(lambda: client.gone or self._closed)
                return
            self._clients.append(client)
            account = self._heads.setdefault(client.head, Account())
            if client.eager:  # a new try of a deployment starts with a clean slate
                for plan in client.plans:
                    for i in (plan.deployment.id, plan.deployment.server_id):
                        account.failures.pop(i, None)
                        account.deaths.pop(i, None)
            try:
                if self._acquire(client, account):
                    while not client.gone and client.holds:
                        self._changed.wait(TICK)
            finally:
                client.holds = False
                client.locks.release()
                self._clients.remove(client)
                self._turns.leave(client, self._clients)
                self._note_idle()
                self._changed.notify_all()

    def lose(self, client: Client) -> None:
        """Note that *client* is gone."""
        with self._changed:
            client.gone = True
            self._changed.notify_all()

    def confirm(self, client: Client) -> str:
        """Return why its servers did not serve *client* without a break; empty if they did.

        Each server answers for its health, so a death or a fault counts that the pool has not
        noticed yet.
        """
        with self._changed:
            given = client.given
        for server, _ in given:
            server.check()
        stale = self._why_stale(client, given)
        with self._changed:
            if stale and not client.broken:
                client.broken, client.is_stale = stale, True
            if client.broken or not client.holds:
                return client.broken or "its servers ended"
            for server, faults in given:
                if server.state != "ready" or server.faults != faults:
                    return server.reason or "one of its servers was unhealthy"
            return ""

    def _why_stale(self, client: Client, given: Sequence[tuple[Server | Group, int]]) -> str:
        """Return why a shared server may have had other weights than those that *client* asks."""
        for plan, (server, _) in zip(client.plans, given, strict=False):
            loading = self._turns.of(plan)
            if loading and (why := loading.why_stale(server.url, plan.deployment)):
                return why
        return ""

    def _acquire(self, client: Client, account: Account) -> bool:
        """Wait for the client's servers, and send it "ready", or the reason of a failure."""
        while not (client.gone or self._closing) and client.head in self._heads:
            for plan in client.plans:
                failures, deployment = account.failures, plan.deployment
                if why := failures.get(deployment.id) or failures.get(deployment.server_id):
                    client.tell("failed", reason=why)
                    return False
            problem = impossible(client)
            if problem:
                client.tell("failed", reason=problem)
                return False
            if not client.holds and not self._place(client, account):
                waits = self._why_waits(client)
                if client.eager:
                    client.tell("busy", why=waits)
                    return False
                client.progress("waiting", waits)
            if client.holds:
                servers = [self._servers.get(plan.deployment.server_id) for plan in client.plans]
                found = [server for server in servers if server is not None]
                if len(found) == len(servers) and all(s.state == "ready" for s in found):
                    if not self._are_well(client, found):
                        continue
                    turn = self._load(client, account)
                    if turn is None:
                        continue
                    if not turn:
                        client.ready(self._described(client))
                        return True
                    if client.eager:
                        client.tell("busy", why=turn)
                        return False
                    client.progress("waiting", turn)
                for server in found:
                    if server.progress:
                        name = server.deployment.listed_name
                        prefix = f"{name}: " if len(found) > 1 else ""
                        client.progress("deploying", f"{prefix}{server.progress}")
            self._changed.wait(TICK)
        return False

    def _are_well(self, client: Client, servers: Sequence[Server | Group]) -> bool:
        """Ask ready servers for their health, without the lock, before *client* gets them."""
        self._changed.release()
        try:
            problems = [server.check() for server in servers]
        finally:
            self._changed.acquire()
        if any(problems) or not client.holds:
            return False
        client.broken = ""
        client.given = tuple((server, server.faults) for server in servers)
        return True

    def _load(self, client: Client, account: Account) -> str | None:
        """Have shared servers load the weights of *client*.

        Returns:
            Nothing if they have them, else the reason to wait; None if something has changed.
        """
        for plan in client.plans:
            loading, i = self._turns.of(plan), plan.deployment.server_id
            if loading is None:
                continue
            if waits := self._turns.why_not_yet(client, plan, self._clients):
                return waits
            server = self._servers[i]
            if loading.must_restart(plan.deployment):
                client.holds = False
                server.stop()
                return None
            client.turns[i] = plan.deployment.weights
            self._changed.release()
            try:
                problem = brought(loading, server.url, plan.deployment)
            finally:
                self._changed.acquire()
            if server.state != "ready":
                problem = Doubt(f"the server ended while it loaded the weights ({server.reason})")
            if isinstance(problem, Doubt):
                self._turns.doubt(client, plan, problem)
                client.progress("deploying", f"its server starts again: {problem}")
            elif problem:
                client.turns.pop(i, None)
                account.failures[plan.deployment.id] = str(problem)
            self._changed.notify_all()
            if problem or not client.holds:
                return None
        return ""

    def _described(self, client: Client) -> Message:
        return {
            plan.name: self._servers[plan.deployment.server_id].described() for plan in client.plans
        }

    # --- where a server goes --------------------------------------------------------------

    def _place(self, client: Client, account: Account) -> bool:
        """Start what *client* lacks if all of it fits at once; make room if that may be."""
        wanted = {plan.deployment.server_id: plan for plan in client.plans}
        alive = {i for i in wanted if (s := self._servers.get(i)) and _usable(s)}
        missing = [plan for i, plan in wanted.items() if i not in alive]
        if any(plan.deployment.server_id in self._servers for plan in missing):
            return False  # its predecessor is still stopping
        if not self._turns.may_start(missing):
            return False
        if missing and client.eager and not leaves_room(client, missing, account):
            return False
        gpus = self._gpus(client)
        fitting = fit(missing, self._servers.values(), client.environ, **gpus)
        if fitting is None:
            self._make_room(client, missing, gpus, keep=alive)
            return False
        own = Place(fitting.harness)
        locks = lock_all([*fitting.places, (own,)], client.environ)
        if locks is None:
            return False  # another process was faster
        if own.gpu_ids:
            client.own, client.locks = own, locks[-1]
        client.turns.clear()
        for plan in client.plans:
            i = plan.deployment.server_id
            names = {plan.name, *sharing(client.run, plan)}
            self._users.setdefault(i, set()).update((client.head, client.run, n) for n in names)
            self._idle_since.pop(i, None)
        client.holds = True
        for plan, place, each in zip(missing, fitting.places, locks[:-1], strict=True):
            self._start(plan, place, each, client)
            account.loads[plan.name] += 1
        return True

    def _gpus(self, client: Client) -> dict[str, Any]:
        """Return what *client* needs for its harness, and what others have."""
        taken = [each.own for each in self._clients if each.own.gpu_ids]
        own = [place for server in self._servers.values() for place in server.places]
        return {
            "harness": 0 if client.own.gpu_ids else client.harness_gpus,
            "taken": taken,
            "closed": closed([*taken, *own], client.environ),
        }

    def _make_room(
        self, client: Client, missing: Sequence[Plan], gpus: dict[str, Any], keep: set[str]
    ) -> None:
        """Stop idle servers until *missing* would fit, those first that are idle longest."""
        staying = dict(self._servers)
        stopping = []
        for i in sorted(self._idle_since, key=lambda i: self._idle_since[i]):
            server = self._servers[i]
            if i in keep or (not server.stopping and self._lingers(i)):
                continue
            if client.eager and self._to_do(i):
                continue
            stopping.append(server)
            del staying[i]
            if fit(missing, staying.values(), client.environ, **gpus) is not None:
                break
        else:
            # Another pool has the rest. If both kept their idle servers, both would wait forever.
            if fit(missing, staying.values(), client.environ, **{**gpus, "closed": ()}) is None:
                return
        for victim in stopping:
            victim.stop()

    def _why_waits(self, client: Client) -> str:
        """Return what *client* waits for. Another process is asked for its name once."""
        names = closed(
            [place for server in self._servers.values() for place in server.places]
            + [each.own for each in self._clients],
            client.environ,
        )
        for name in names - client.holders.keys():
            client.holders[name] = holder(name)
        others = sorted({client.holders[name] for name in names})
        if not others:
            return "waits for GPUs or a port that another model's server has"
        return f"waits for GPUs that are in use, some by {' and '.join(others)}"

    def _start(self, plan: Plan, places: Sequence[Place], locks: Locks, client: Client) -> None:
        i, directory = plan.deployment.server_id, DeploymentDirectory.of(client.run, plan.name)
        journal = Journal(directory.events)
        self._turns.start(plan, lambda text: journal.add(Event("doubted", detail=text)))
        common = (
            directory,
            client.environ,
            self._ports,
            lambda: self._on_change(i),
        )
        server = (
            Group(plan.deployment, places, *common, patience=self._patience, locks=locks)
            if len(places) > 1
            else Server(plan.deployment, places[0], *common, patience=self._patience, locks=locks)
        )
        self._servers[i] = server
        try:
            server.start()
        except OSError as error:  # of a group, which writes before its servers do
            server.reason, server.state = f"{error.filename or i}: {error.strerror}", "ended"
            self._bury(i, server)

    def _ports(self) -> set[int]:
        return {server.port for server in list(self._servers.values())}

    # --- what happens to servers ----------------------------------------------------------

    def _on_change(self, i: str) -> None:
        with self._changed:
            server = self._servers.get(i)
            if server is not None and server.state == "unhealthy":
                self._lose(i, server)
            if server is not None and server.state == "ended":
                self._bury(i, server)
            elif server is not None and server.fault:
                self._break(server)
            self._changed.notify_all()

    def _break(self, server: Server | Group) -> None:
        """Send the clients that had *server* before its last fault the reason; it serves others."""
        for client in [c for c in self._clients if c.holds]:
            if any(each is server and faults != server.faults for each, faults in client.given):
                client.holds, client.broken = False, server.fault
                client.tell("lost", reason=client.broken)

    def _lose(self, i: str, server: Server | Group) -> None:
        """Take a server from the clients that have it, and send them the reason."""
        for client in [c for c in self._clients if c.holds and c.wants(i)]:
            client.holds = False
            client.broken = server.reason or "the pool was stopped"
            if server.was_ready:
                client.tell("lost", reason=client.broken)

    def _bury(self, i: str, server: Server | Group) -> None:
        del self._servers[i]
        server.locks.release()
        self._idle_since.pop(i, None)
        users = self._users.pop(i, set())
        self._lose(i, server)
        if not any(user[0] in self._heads for user in users):
            self._turns.forget(i)
        if not server.reason:
            return
        own = server.deployment.id
        is_of_one = not server.was_ready and self._turns.failed(i, own)
        for head in {user[0] for user in users} & self._heads.keys():
            account = self._heads[head]
            account.deaths[i] += 1
            limit = server.deployment.serving.max_restarts
            if not server.was_ready:
                account.failures[own if is_of_one else i] = server.reason
            elif account.deaths[i] > limit:
                times = f"{account.deaths[i]} times" if limit else "and max_restarts is 0"
                account.failures[i] = f"the server died {times}; at last: {server.reason}"

    def _lingers(self, i: str) -> bool:
        since = self._idle_since.get(i)
        if since is None:
            return True
        return time.monotonic() - since < self._linger[self._to_do(i)]

    def _to_do(self, i: str) -> str:
        """Return the remaining work of server *i*, as a key of :data:`LINGER`."""
        found = set()
        for head, run, name in self._users.get(i, ()):
            if head in self._heads:
                # A plan that is gone or damaged must not end the pool, and says nothing of a need.
                with contextlib.suppress(EvaluationError, OSError):
                    found.add(to_do(run, DeploymentDirectory.of(run, name).plan()))
        return next((state for state in self._linger if state in found), "")

    def _note_idle(self) -> None:
        for i in self._servers:
            if not any(c.holds and c.wants(i) for c in self._clients):
                self._idle_since.setdefault(i, time.monotonic())

    def tick(self) -> bool:
        """Forget dead heads and stop servers without use; return whether anything is left."""
        with self._changed:
            for head in [head for head in self._heads if not process_lives(*head)]:
                self._forget(head)
            for i, since in list(self._idle_since.items()):
                server = self._servers[i]
                idle = time.monotonic() - since
                if (
                    not any(head in self._heads for head, _, _ in self._users.get(i, ()))
                    or idle > server.deployment.serving.idle_timeout
                    or (self._to_do(i) != "missing" and not self._lingers(i))
                ):
                    server.stop()
            return bool(self._heads or self._clients or self._servers)

    def _forget(self, head: Head) -> None:
        self._heads.pop(head, None)
        self.left = True
        self._changed.notify_all()

    def leave(self, head: Head) -> dict[str, int]:
        """Forget *head* and stop what only it used; return how often each model was loaded."""
        with self._changed:
            loads = dict(self._heads.get(head, Account()).loads)
            mine = [i for i, users in self._users.items() if any(u[0] == head for u in users)]
            self._forget(head)
            ending = []
            for i in mine:
                # Jobs of this head may still be going; those of others keep theirs.
                shared = any(c.head != head for c in self._clients if c.holds and c.wants(i))
                if not shared and not any(user[0] in self._heads for user in self._users[i]):
                    self._servers[i].stop()
                    ending.append(self._servers[i])
            self._changed.wait_for(lambda: all(s not in self._servers.values() for s in ending))
            return loads

    def status(self) -> Message:
        """Return what is served to whom."""
        with self._changed:
            return {
                "servers": [
                    {
                        "id": i,
                        "model": server.deployment.listed_name,
                        "state": "stopping" if server.stopping else server.state,
                        "port": server.port,
                        "gpus": server.gpu_ids,
                        "instances": server.instances,
                        "users": [c.who for c in self._clients if c.holds and c.wants(i)],
                        "runs": sorted(
                            {
                                str(run)
                                for head, run, _ in self._users.get(i, ())
                                if head in self._heads
                            }
                        ),
                    }
                    for i, server in self._servers.items()
                ],
                "clients": [
                    {"run": str(client.run), "who": client.who, "holds": client.holds}
                    for client in self._clients
                ],
                "waiting": [client.who for client in self._clients if not client.holds],
                "heads": [pid for pid, _ in self._heads],
            }

    def close(self) -> None:
        """Stop everything, and wait until it has ended."""
        with self._changed:
            self._closing = True
            for server in self._servers.values():
                server.stop()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._servers)
            self._closed = True
            self._changed.notify_all()


def _usable(server: Server | Group) -> bool:
    return not server.stopping and server.state != "unhealthy"
