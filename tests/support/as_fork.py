"""Starts a command as a fork, from a shell: ``python as_fork.py ADDRESS -m snakemake ...``.

`support.scheduler` listens at the address, starts the command with this process's files, directory
and environment, and sends its exit code. Only the standard library is imported, and little of it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys

with socket.socket(socket.AF_UNIX) as channel:
    channel.connect(f"\0{sys.argv[1]}")
    asked = {"words": sys.argv[2:], "cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
    data = json.dumps(asked).encode("utf-8", "surrogatepass")
    # As `support.fork_server.send`, whose imports take longer.
    socket.send_fds(channel, [struct.pack("!I", len(data))], [0, 1, 2])
    channel.sendall(data)
    code = channel.recv(16)
# No answer: the test has ended.
sys.exit(int(code or b"1"))
