"""A deployment of a run and the evaluations that need it, for the jobs and the pool."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from snakeval.serving.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment of a run with the evaluations that need it: (id, fingerprint).

    ``rank`` is its place among the run's deployments; the first is loaded first.
    """

    name: str
    rank: int
    deployment: Deployment
    evaluations: tuple[tuple[str, str], ...] = field(default=())

    def to_json(self) -> str:
        """Serialise it for the jobs."""
        return json.dumps(
            {
                "name": self.name,
                "rank": self.rank,
                "deployment": self.deployment.as_dict(),
                "evaluations": self.evaluations,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is no plan.
        """
        data = json.loads(text)
        return cls(
            data["name"],
            int(data["rank"]),
            Deployment.from_dict(data["deployment"]),
            tuple((str(a), str(b)) for a, b in data["evaluations"]),
        )
