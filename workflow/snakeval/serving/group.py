"""Several equal servers behind one address.

The address is that of HAProxy (https://docs.haproxy.org), because a harness accepts one URL and
knows nothing of the health of several servers. HAProxy checks the health of each server and sends
each request to the server with the fewest requests. If that server dies, HAProxy sends the request
to another. The program comes from the PATH, or else from an image.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jinja2

from snakeval.files import write_atomically
from snakeval.serving import ports
from snakeval.serving.deployment import Deployment, server_name
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.gpus import Locks
from snakeval.serving.nodes import Place
from snakeval.serving.server import Server
from snakeval.serving.vigil import PATIENCE, Patience

#: Debian's, for nodes without the program.
_IMAGE = "haproxy:2.6"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("snakeval"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
)


class Group:
    """All the instances of a deployment and their proxy, as one server: see :class:`Server`.

    Its ``faults`` are those of its instances. ``fault`` is empty, as its clients keep it.

    It is ready when the proxy answers for the first instance. One that dies starts again by itself,
    ``max_restarts`` times, while another serves; when none does, the group has ended.
    """

    def __init__(
        self,
        deployment: Deployment,
        places: Sequence[Place],
        directory: DeploymentDirectory,
        environ: Mapping[str, str],
        taken_ports: Callable[[], set[int]],
        changed: Callable[[], None],
        *,
        patience: Patience = PATIENCE,
        locks: Locks | None = None,
    ) -> None:
        self.deployment = deployment
        self.locks = locks or Locks()
        self._patience = patience
        self.places = tuple(places)
        self.gpu_ids = tuple(gpu for place in places for gpu in place.gpu_ids)
        self.port = deployment.serving.port
        self.state = "starting"
        self.reason = ""
        self.progress = ""
        self.was_ready = False
        self.stopping = False
        self.faults, self.fault = 0, ""
        self._directory = directory
        self._environ = environ
        self._taken_ports = taken_ports
        self._changed = changed
        self._lock = threading.Lock()
        self._members: list[Server] = []
        self._ended: set[int] = set()
        self._deaths = [0] * len(self.places)
        self._seen_faults = [0] * len(self.places)
        self._proxy: Server | None = None
        self._proxy_ended = False

    def start(self) -> None:
        """Start the instances; the proxy follows when one is ready."""
        with self._lock:
            self.port = self.port or ports.free_port(self._taken_ports())
            taken = self._taken_ports() | {self.port}
            for number in range(len(self.places)):
                port = ports.free_port(taken)
                taken.add(port)
                self._members.append(self._instance(number, port))
            # At the path that a single server's log has.
            self._directory.show_instance_log()
            for member in self._members:
                member.start()

    def stop(self) -> None:
        """Ask all of it to end; it is not to be used any more."""
        with self._lock:
            self._stop()

    def described(self) -> dict[str, Any]:
        """Return it as :class:`snakeval.serving.client.Served`."""
        url = self.deployment.route_url(self.port)
        return {**self._members[0].described(), "url": url, "gpus": self.gpu_ids}

    @property
    def url(self) -> str:
        """The URL of the proxy."""
        return self.deployment.base_url(self.port)

    @property
    def instances(self) -> list[str]:
        """The state of each instance."""
        return [member.state for member in self._members]

    def check(self) -> str:
        """Ask the instances for their health; see :meth:`Server.check`.

        An unhealthy instance answered some requests wrongly. One that died did not: the proxy sent
        its requests to another.
        """
        with self._lock:
            members = list(self._members)
        for member in members:
            if member.state == "ready":
                member.check()
                self.faults += member.state == "unhealthy"
        with self._lock:
            if self.state == "ready" and not any(m.state == "ready" for m in self._members):
                self.state, self.reason = "unhealthy", "no instance is healthy"
        self._changed()
        return self.reason if self.state in ("unhealthy", "ended") else ""

    def _stop(self) -> None:
        self.stopping = True
        for server in [*self._members, *([self._proxy] if self._proxy else [])]:
            server.stop()

    # --- the instances --------------------------------------------------------------------

    def _instance(self, number: int, port: int) -> Server:
        serving = replace(self.deployment.serving, port=port, instances=1)
        return Server(
            replace(self.deployment, serving=serving),
            self.places[number],
            self._directory.instance(number),
            self._environ,
            self._taken_ports,
            lambda: self._on_instance(number),
            f"{server_name(self.deployment)}-{number}",
            patience=self._patience,
            locks=self.locks,
        )

    def _on_instance(self, number: int) -> None:
        with self._lock:
            member = self._members[number]
            if member.state == "ready" and self._proxy is None and not self.stopping:
                try:
                    self._proxy = self._start_proxy()
                except OSError as error:
                    self._end(f"the proxy: {error.filename}: {error.strerror}")
            if member.faults != self._seen_faults[number]:
                self._seen_faults[number] = member.faults
                self.faults += 1
            if member.state == "ended" and number not in self._ended:
                self._bury(number, member)
            if not self.was_ready:
                self.progress = f"instance {number}: {member.progress}"
            self._conclude()
        self._changed()  # without the lock: the pool may stop this group in reply

    def _bury(self, number: int, member: Server) -> None:
        self._ended.add(number)
        if self.stopping:
            return
        self._deaths[number] += 1
        if not any(other.state == "ready" for other in self._members):
            self._end(f"instance {number}: {member.reason}")
        elif self._deaths[number] <= self.deployment.serving.max_restarts:
            self._members[number] = self._instance(number, member.port)
            self._seen_faults[number] = 0
            self._ended.discard(number)
            self._members[number].start()

    # --- the proxy ------------------------------------------------------------------------

    def _start_proxy(self) -> Server:
        file = self._directory.proxy_config
        write_atomically(
            file,
            _TEMPLATES.get_template("haproxy.cfg.j2").render(
                model=self.deployment.definition.served_model_name,
                host="127.0.0.1" if self.deployment.serving.network == "host" else "0.0.0.0",
                port=self.port,
                health=self.deployment.serving.health_path,
                servers=[f"{member.address}:{member.port}" for member in self._members],
            ),
        )
        definition, serving = self.deployment.definition, self.deployment.serving
        config = str(file.resolve())
        proxy = Deployment(
            replace(
                definition,
                kind="generic",
                image=_IMAGE,
                command="haproxy -db -f {{ model }}",
                model=config,
                set_env={},
                extra_args="",
            ),
            replace(
                serving,
                port=self.port,
                gpus=0,
                gpu_ids=(),
                checkpoint_path="",
                mounts=((config, config, True),),
                env={},
                shm_mb=64,
                mem_mb=None,
                runtime="process" if shutil.which("haproxy") else serving.runtime,
                nodes=1,
                instances=1,
            ),
        )
        server = Server(
            proxy,
            Place(()),
            self._directory.proxy,
            self._environ,
            self._taken_ports,
            self._on_proxy,
            f"{server_name(self.deployment)}-proxy",
            patience=self._patience,
        )
        server.start()
        return server

    def _on_proxy(self) -> None:
        with self._lock:
            proxy = self._proxy
            if proxy is None or self._proxy_ended:
                return
            if proxy.state == "ready" and self.state == "starting":
                self.state, self.was_ready = "ready", True
                self.progress = f"{len(self.places)} instances behind {proxy.progress}"
            if proxy.state == "ended":
                self._proxy_ended = True
                if not self.stopping:
                    self._end(f"the proxy: {proxy.reason}")
            self._conclude()
        self._changed()

    # --- the end --------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        """End all of it for a *reason*. A stop from outside has no reason."""
        self.reason = reason
        self._stop()

    def _conclude(self) -> None:
        proxy_is_gone = self._proxy is None or self._proxy_ended
        if self.stopping and len(self._ended) == len(self._members) and proxy_is_gone:
            self.state = "ended"
