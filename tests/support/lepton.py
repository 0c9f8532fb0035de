"""What tests of Lepton serve: a model that starts at once, as endpoints of the stand-in."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

from snakeval.deployment import Plan
from snakeval.matrix import deployments
from support.configs import COMMAND, config

#: Lists the model `careful`; the demo's server would take a second to start.
_SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "careful"}]}).encode())
    do_HEAD = do_GET
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def served(directory: Path, port: int, **changes: Any) -> Plan:
    """The plan of the model `m`; *directory* gets its server and its configuration."""
    (directory / "server.py").write_text(_SERVER)
    deployment = {
        "kind": "generic",
        "image": "any/image",
        "command": f"exec {sys.executable} -S {directory}/server.py {{{{ port }}}}",
        "served_model_name": "careful",
        "port": port,
        "readiness_timeout": 60,
        "max_restarts": 0,
    } | changes
    settings = {"models": {"m": {"deployment": deployment}}, "benchmarks": {"b": COMMAND}}
    return Plan("m", 0, deployments(config(directory, settings))["m"])
