"""Finds the address of this machine that containers in a network of their own can reach."""

from __future__ import annotations

import socket

#: An address of the documentation (RFC 5737). A datagram socket sends it nothing.
_ELSEWHERE = ("192.0.2.1", 9)


def default_address() -> str:
    """Return this machine's address on its default route; the loopback address without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
