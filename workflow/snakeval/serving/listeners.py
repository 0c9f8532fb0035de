"""The sockets that listen on a TCP port of this machine, and the process that holds them.

The kernel lists only sockets that listen if a program asks by netlink (sock_diag(7)). The tables in
``/proc/net`` also have every connection, of which a busy server has thousands. Each look at them
takes many milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

#: The state of a socket that listens (tcp_states.h of Linux).
_LISTENS = 10
#: The numbers of netlink (netlink.h, sock_diag.h).
_SOCK_DIAG, _BY_FAMILY, _REQUEST_DUMP = 4, 20, 0x301
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
#: inet_diag_req_v2 without the address, and the port and the inode of inet_diag_msg.
_ASKED, _ADDRESS = struct.Struct("=BBBBI"), bytes(48)
_PORT, _PORT_AT = struct.Struct("!H"), 4
_INODE, _INODE_AT = struct.Struct("=I"), 68


def listening(port: int) -> frozenset[int]:
    """Return the inodes of the sockets that listen on *port*. Each socket has a new one."""
    try:
        return frozenset(_by_netlink(port))
    except (OSError, AttributeError):  # a sandbox without netlink, or no Linux
        return frozenset(_by_tables(port))


def _by_netlink(port: int) -> Iterator[int]:
    """Yield the inodes that the kernel lists.

    Raises:
        OSError: the kernel does not answer such questions here.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asking:
        asking.settimeout(5)
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _ASKED.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _LISTENS) + _ADDRESS
            asking.send(
                _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + body
            )
            for message in _messages(asking):
                if _PORT.unpack_from(message, _PORT_AT)[0] == port:
                    yield _INODE.unpack_from(message, _INODE_AT)[0]


def _messages(asking: socket.socket) -> Iterator[bytes]:
    """Yield the messages of one answer, without their headers."""
    while True:
        data = asking.recv(1 << 20)
        while data:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError("the kernel does not list sockets")
            yield data[_HEADER.size : length]
            data = data[(length + 3) & ~3 :]


def _by_tables(port: int) -> Iterator[int]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no Linux, or no IPv6
            continue
        for fields in map(str.split, lines):
            if int(fields[3], 16) == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield int(fields[9])


def owner(inodes: Collection[int]) -> int | None:
    """Return the first process that holds one of the sockets, where this user may know it."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return None
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):  # noqa: PTH208
        with contextlib.suppress(OSError):  # it ended, or another user has it
            for file in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                with contextlib.suppress(OSError):  # it was closed
                    if os.readlink(f"/proc/{pid}/fd/{file}") in wanted:  # noqa: PTH115
                        return pid
    return None
