"""A deployment of a run and the evaluations that ask it, as a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.serving.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment of a run with the evaluations that need it: (id, fingerprint).

    ``rank`` is its place among the run's deployments: what stands first is loaded first.
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

    @classmethod
    def read(cls, run: Path, name: str) -> Plan:
        """Read the plan of the deployment *name* of *run*.

        Raises:
            EvaluationError: it is not there, or no plan.
        """
        path = plan_path(run, name)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                data["name"],
                int(data["rank"]),
                Deployment.from_dict(data["deployment"]),
                tuple((str(a), str(b)) for a, b in data["evaluations"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{path} cannot be read ({error}); give the same command again"
            ) from None

    @classmethod
    def all(cls, run: Path) -> list[Plan]:
        """Read every plan of *run*."""
        return [cls.read(run, path.stem) for path in plan_path(run, "x").parent.glob("*.json")]


def plan_path(run: Path, name: str) -> Path:
    """Where the plan of the deployment *name* stands."""
    return run / ".snakeval" / "deployments" / f"{name}.json"
