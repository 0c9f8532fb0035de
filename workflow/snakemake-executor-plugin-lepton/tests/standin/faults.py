"""Faults that the stand-in can be told to make."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from standin.server import StandIn


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next *times* requests that match."""

    match: str  #: regular expression for "METHOD /path?query", below the workspace's URL
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    when: str = "before"  #: before or after the effect; drop: the effect, and then no answer
    times: int = 1
    delay: float = 0.0  #: seconds before the answer
    body: str = '{"code":"Fault","message":"injected"}'
    skip: int = 0  #: matching requests that go well first
    #: What befalls the workspace just before the request; that itself then goes well.
    befalls: Callable[[StandIn], None] | None = None


class Faults:
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault | dict[str, Any]) -> None:
        """Add one."""
        with self._lock:
            self._faults.append(fault if isinstance(fault, Fault) else Fault(**fault))

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._faults.clear()

    def take(self, request: str) -> Fault | None:
        """Return the fault for a request, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and re.search(fault.match, request):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None
