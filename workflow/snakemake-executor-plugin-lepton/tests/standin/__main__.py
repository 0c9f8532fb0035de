"""Runs the stand-in until it is ended."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from standin.server import StandIn


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m standin", description="A stand-in for DGX Cloud Lepton, on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--runner", choices=["auto", "docker", "process"], default="auto")
    parser.add_argument("--capacity", type=int, default=8, help="jobs that run at once")
    parser.add_argument("--new-endpoints", action="store_true", help="/endpoints, not /deployments")
    parser.add_argument("--directory", type=Path, help="for volumes")
    parser.add_argument("--env-file", type=Path, help="where to write the variables for clients")
    arguments = parser.parse_args()
    standin = StandIn(arguments.runner, arguments.port, arguments.directory)
    standin.workspace.capacity = arguments.capacity
    standin.workspace.new_endpoints = arguments.new_endpoints
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with standin:
        lines = "".join(f"export {name}={value}\n" for name, value in standin.environment.items())
        if arguments.env_file:
            arguments.env_file.write_text(lines)
        sys.stdout.write(lines)
        sys.stdout.flush()
        ended.wait()


main()
