"""A deployment of a run and the evaluations that need it, for the jobs and the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.plain import build_known
from snakeval.files import sealed
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

    def serves(self, evaluation: Evaluation) -> bool:
        """Whether the deployment is the one in the definition of *evaluation*, which asks it.

        A later command of the run may have changed the deployment while the evaluation waited.
        """
        identity = evaluation.identity
        if identity.format == 1:
            return True  # it describes the weights in another way
        asked = (
            identity.deployment
            if self.name == evaluation.model
            else identity.auxiliary[self.name]["deployment"]
        )
        return bool(self.deployment.definition.identity == asked)

    def to_json(self) -> str:
        """Serialise it for the jobs."""
        return sealed(
            {
                "name": self.name,
                "rank": self.rank,
                "deployment": self.deployment.as_dict(),
                "evaluations": self.evaluations,
            }
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is no plan.
        """
        return build_known(cls, data)
