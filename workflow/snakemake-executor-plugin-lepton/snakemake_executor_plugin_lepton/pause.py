"""The pause between two polls, which ends with the run."""

from __future__ import annotations

import asyncio
import time
from threading import Event

#: The shortest pause: without one, the polling thread would use a whole processor.
_SHORTEST = 0.1
#: How many seconds a pause may outlast the run.
_STEP = 0.2


async def pause(seconds: float, over: Event) -> None:
    """Wait *seconds*, or until the run is *over*."""
    # In steps, and not in another thread: at an error, the process would wait for that thread.
    until = time.monotonic() + max(seconds, _SHORTEST)
    while not over.is_set() and (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, _STEP))
