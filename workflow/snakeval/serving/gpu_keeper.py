"""Holds the locks of GPUs for a while after their owner was killed.

    python -I -S gpu_keeper.py SECONDS

It inherits the locks as open files; see :meth:`snakeval.serving.gpus.Locks.outlive`. Its standard
input has a line if the owner released the GPUs, and ends without one if the owner was killed.

It imports nothing of snakeval, so that it starts in milliseconds.
"""

from __future__ import annotations

import signal
import sys
import time


def main() -> int:
    """Wait for the owner's end, and then for SECONDS if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for Snakemake
    if not sys.stdin.buffer.readline():
        time.sleep(float(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
