"""Gives the clients of a shared server their turns, so that none gets answers of other weights.

The pool calls it under its lock. Clients of equal weights, and of adapters side by side, share a
turn. A swap or a cold start waits until no other client has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from snakeval.serving.loading import Doubt, Loading
from snakeval.serving.plan import Plan
from snakeval.serving.pool_client import Client

_OTHERS = "waits for evaluations of other weights, which its server has"
_DECIDES = "waits for a cold start that decides about other weights"


class Turns:
    """The weights of each shared server, by its id."""

    def __init__(self) -> None:
        self._loadings: dict[str, Loading] = {}
        self._failed: dict[str, set[str]] = {}

    def of(self, plan: Plan) -> Loading | None:
        """Return the weights of the server of *plan*; None if it is not shared."""
        if plan.deployment.serving.loading is None:
            return None
        return self._loadings.setdefault(plan.deployment.server_id, Loading())

    def start(self, plan: Plan, say: Callable[[str], None]) -> None:
        """Note that the server of *plan* starts with its weights."""
        if loading := self.of(plan):
            loading.say = say
            loading.start(plan.deployment, cold=plan.deployment.starts_with_weights)

    def may_start(self, plans: Iterable[Plan]) -> bool:
        """Whether no cold start of other weights comes first."""
        return not any(
            loading.doubted and loading.doubted.weights != plan.deployment.weights
            for plan in plans
            if (loading := self.of(plan))
        )

    def why_not_yet(self, client: Client, plan: Plan, clients: Iterable[Client]) -> str:
        """Return why *client* must wait for its turn at the server of *plan*, or nothing."""
        loading = self.of(plan)
        if loading is None:
            return ""
        server, weights = plan.deployment.server_id, plan.deployment.weights
        if loading.doubted and loading.doubted.weights != weights:
            return _DECIDES
        others = [each for each in clients if each is not client and each.holds]
        if loading.needs_turn(plan.deployment) and any(
            each.turns.get(server, weights) != weights for each in others
        ):
            return _OTHERS
        if client.eager and loading.current not in ("", weights):
            return _OTHERS  # it costs nothing to load them later
        # Those that need no swap go first.
        waiting = any(
            each.weights(server) == loading.current for each in others if server not in each.turns
        )
        return _OTHERS if waiting and loading.current not in ("", weights) else ""

    def doubt(self, client: Client, plan: Plan, why: Doubt) -> None:
        """End the turn of *client*, whose weights are in doubt."""
        if loading := self.of(plan):
            loading.doubt(plan.deployment, why)
        client.turns.pop(plan.deployment.server_id, None)

    def leave(self, client: Client, clients: Iterable[Client]) -> None:
        """End the turns of *client*. A doubt that concerns no other client ends with it."""
        left = list(clients)
        client.turns.clear()
        for plan in client.plans:
            server = plan.deployment.server_id
            loading = self._loadings.get(server)
            doubted = loading.doubted if loading else None
            if loading and doubted and all(c.weights(server) != doubted.weights for c in left):
                loading.doubted = None

    def failed(self, server: str, deployment: str) -> bool:
        """Note that a server did not start; return whether that is the fault of one checkpoint.

        It is not, if the server did not start with another checkpoint either.
        """
        loading = self._loadings.get(server)
        if loading is None:
            return False
        loading.doubted = None
        failed = self._failed.setdefault(server, set())
        failed.add(deployment)
        return len(failed) == 1

    def forget(self, server: str) -> None:
        """Forget a server that no run uses any more."""
        self._loadings.pop(server, None)
        self._failed.pop(server, None)
