"""Changes to the JSON of a request, for endpoints that know other parameters than the harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snakeval.ledger.slots import seed_of

_PARTS = frozenset({"rename", "drop", "add"})
_ABSENT = object()


@dataclass(frozen=True)
class Changes:
    """Changes to each request of an endpoint.

    Attributes:
        rename: parameters with the name by which the endpoint knows them.
        drop: parameters that the endpoint does not receive.
        add: parameters that every request has. They win over those of the harness.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    add: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Changes:
        """Build them from ``request`` of a configuration; members of any other name are added."""
        data = data or {}
        if not _PARTS.issuperset(data):
            return cls(add=data)
        return cls(data.get("rename") or {}, tuple(data.get("drop") or ()), data.get("add") or {})

    def made(self, data: Mapping[str, Any], slot: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the members of a request as the endpoint receives them, and those that differ.

        Equal requests after the first have a seed of their own; see :mod:`snakeval.ledger.slots`.
        A member that the endpoint does not receive is None among those that differ.
        """
        made = {name: value for name, value in data.items() if name not in self.drop}
        for old, new in self.rename.items():
            if old in made:
                made[new] = made.pop(old)
        made.update(self.add)
        of_seed = self.rename.get("seed", "seed")
        known = {"seed": made.get(of_seed), "temperature": made.get("temperature")}
        seed = seed_of(known, slot)
        if seed >= 0:
            made[of_seed] = seed
        gone = {name: None for name in data if name not in made}
        return made, gone | {
            name: value for name, value in made.items() if data.get(name, _ABSENT) is not value
        }


NO_CHANGES = Changes()
