"""Orders the jobs of a run by priorities.

Evaluations of one model run together, in the order of the models, and the longest first. A
deployed model is then loaded only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from snakeval.evaluation.definition import Evaluation
from snakeval.matrix.durations import Durations


class Order:
    """Priorities of evaluations and of the servers that they wait for."""

    def __init__(
        self,
        models: Iterable[str],
        selected: Mapping[tuple[str, str], Evaluation],
        durations: Durations,
    ) -> None:
        self._models, self._selected, self._durations = models, selected, durations

    @cached_property
    def evaluations(self) -> dict[tuple[str, str], int]:
        """The priority of each evaluation, by its model and benchmark."""
        models = {model: number for number, model in enumerate(self._models)}
        order = sorted(
            self._selected,
            key=lambda key: (models[key[0]], -(self._durations.expect(self._selected[key]) or 0)),
        )
        # In steps of two, to leave room for a model's server above its evaluations.
        return {key: 2 * position + 1 for position, key in enumerate(reversed(order))}

    def server(self, model: str) -> int:
        """The priority of a model's server: before its evaluations, after earlier models'.

        Evaluations of several models may wait for an auxiliary model's server, so it comes first.
        """
        return self._servers.get(model, 2 * len(self.evaluations) + 1)

    @cached_property
    def _servers(self) -> dict[str, int]:
        # Ascending, so the highest priority of each model wins.
        ascending = sorted(self.evaluations.items(), key=lambda item: item[1])
        return {model: priority + 1 for (model, _), priority in ascending}
