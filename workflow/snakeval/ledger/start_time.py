"""The start of a process, which with its number identifies it.

It is here because gateways, which import nothing of other folders, compare it as well.
"""

from __future__ import annotations

from pathlib import Path


def start_time(pid: int) -> str | None:
    """Return field 22 of /proc/PID/stat (proc(5)), which with the pid identifies a process.

    The result is empty on systems without /proc, and None for a zombie, which has ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
