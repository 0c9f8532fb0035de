"""Loads the checkpoints of a series into one server, and finds out if the server serves them.

A server that keeps old weights answers as if nothing were wrong. After each load or swap it answers
a canary (:mod:`snakeval.serving.canary`). In doubt it starts again with the weights in doubt, and
this cold start decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.serving import adapters, canary, engine
from snakeval.serving.canary import CanaryError, Sight
from snakeval.serving.deployment import SWAP, Deployment
from snakeval.serving.engine import EngineError
from snakeval.serving.shared_start import require_weights

#: How long requests that no client waits for may delay a swap, in seconds.
_QUIET_SECONDS, _PAUSE = 60.0, 0.1


class Doubt(Exception):
    """The weights of a server are not known; a cold start decides.

    ``sight`` is what the server answered, if it did.
    """

    def __init__(self, why: str, sight: Sight | None = None) -> None:
        super().__init__(why)
        self.sight = sight


@dataclass(frozen=True, slots=True)
class Doubted:
    """The weights in doubt: their digest, the reason, and what the server answered."""

    weights: str
    why: str
    sight: Sight | None = None


class Loading:
    """The weights of one shared server, also while it starts again.

    Attributes:
        current: the digest of the weights that the server has, if it swaps them; empty if that is
            not known.
        doubted: the weights whose cold start decides, if any.
        why_cold: why the server never loads weights any more: each of them is a cold start.
        say: takes a sentence for people.
    """

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.current, self.why_cold = "", ""
        self.doubted: Doubted | None = None
        self.say: Callable[[str], None] = lambda text: None
        self._sleep, self._clock = sleep, clock
        self._loaded: dict[str, Deployment] = {}
        self._seen: dict[str, Sight] = {}
        self._first: Deployment | None = None
        self._is_proven = False
        self._lock = threading.Lock()

    def doubt(self, deployment: Deployment, why: Doubt) -> None:
        """Note that a cold start must decide about the weights of *deployment*."""
        self._loaded.pop(deployment.weights, None)
        if self.doubted is not None:
            return  # a cold start decides about other weights first
        self.doubted = Doubted(deployment.weights, str(why), why.sight)
        if str(why) != self.why_cold:
            self.say(f"the server starts again with these weights: {why}")

    def must_restart(self, deployment: Deployment) -> bool:
        """Whether the server must start again to serve *deployment*."""
        weights = deployment.weights
        in_doubt = self.doubted is not None and self.doubted.weights == weights
        return in_doubt and weights not in self._loaded

    def start(self, deployment: Deployment, *, cold: bool) -> None:
        """Note that a new process starts; with *cold*, it has the weights of *deployment*."""
        self.current = deployment.weights if cold else ""
        self._loaded = {deployment.weights: deployment} if cold else {}
        self._first = deployment if cold else None
        self._is_proven = False
        self._seen = {}

    def needs_turn(self, deployment: Deployment) -> bool:
        """Whether the server must serve nothing else to serve *deployment*."""
        return _swaps(deployment) or bool(self.doubted or self.why_cold)

    def bring(self, base: str, deployment: Deployment) -> None:
        """Have the server at *base* serve the weights of *deployment*.

        Raises:
            Doubt: it is not known if it does.
            EvaluationError: the weights are gone, or the server refuses them.
        """
        with self._lock:
            if deployment.weights in self._loaded:
                self._look_again(base, deployment)
                return
            if self.why_cold:
                raise Doubt(self.why_cold)
            try:
                self._swap(base, deployment) if _swaps(deployment) else self._add(base, deployment)
            except CanaryError as error:
                raise Doubt(f"it does not answer the canary ({error})") from None
            except EngineError as error:
                raise Doubt(f"it did not load the weights ({error})") from None

    def why_stale(self, base: str, deployment: Deployment) -> str:
        """Return why the server may not have served *deployment* until now, or nothing."""
        weights = deployment.weights
        if weights not in self._loaded:
            return "its server has other weights"
        if (own := self._seen.get(weights)) is None:
            return ""  # it never answered the canary, so each of its weights was a cold start
        try:
            sight = _look(base, deployment)
        except CanaryError as error:
            return f"its server does not answer the canary ({error})"
        if not sight.is_consistent or not sight.is_of(own, self._others(weights)):
            return "its server answers the canary as with other weights"
        return ""

    # --- what is known --------------------------------------------------------------------

    def _others(self, weights: str) -> list[Sight]:
        return [sight for other, sight in self._seen.items() if other != weights]

    def _look_again(self, base: str, deployment: Deployment) -> None:
        """Look at weights that the server has; at those of a cold start for the first time."""
        weights = deployment.weights
        try:
            sight = _look(base, deployment)
        except CanaryError as error:
            if weights in self._seen:
                raise Doubt(f"it does not answer the canary ({error})") from None
            self.why_cold = f"it does not answer the canary ({error})"
            self._decide(deployment, None)
            return
        if (own := self._seen.get(weights)) is None:
            self._seen[weights] = sight
            self._decide(deployment, sight)
        elif not sight.is_consistent:
            raise Doubt("its answers come from cached blocks of other weights", sight)
        elif not sight.is_of(own, self._others(weights)):
            raise Doubt("it answers the canary otherwise than before", sight)

    def _decide(self, deployment: Deployment, cold: Sight | None) -> None:
        """Compare the weights in doubt with their cold start, whose answer is the reference."""
        doubted, self.doubted = self.doubted, None
        if doubted is None or doubted.weights != deployment.weights or self.why_cold:
            return
        hot = doubted.sight
        if cold and hot and hot.is_consistent and not hot.hits and hot.is_of(cold, ()):
            self.say(f"a cold start answers as the server did, although {doubted.why}")
            return
        self.why_cold = f"{doubted.why}, and a cold start answers otherwise"
        self.say(f"{self.why_cold}; each checkpoint is a cold start from now on")

    # --- full weights -----------------------------------------------------------------------

    def _swap(self, base: str, deployment: Deployment) -> None:
        (before,) = self._loaded.values() if len(self._loaded) == 1 else (None,)
        if before is None:
            raise Doubt("its weights are not known")
        require_weights(deployment)
        # This look also fills the cache with blocks of the old weights.
        self._look_again(base, before)
        old = self._seen[before.weights]
        sight = self._replace(base, deployment)
        self._require_new(sight, [old])
        if not self._is_proven:
            self._prove(base, before, deployment, sight)
        self._seen[deployment.weights] = sight
        self._loaded = {deployment.weights: deployment}
        self.current = deployment.weights

    def _prove(self, base: str, before: Deployment, after: Deployment, sight: Sight) -> None:
        """Swap back, to the weights of the cold start, and forth: the answers must be the same."""
        try:
            require_weights(before)
        except EvaluationError as error:
            raise Doubt(f"the first swap cannot be compared with a cold start: {error}") from None
        again = self._replace(base, before)
        if not again.is_consistent or not again.is_of(self._seen[before.weights], [sight]):
            raise Doubt("the first swap back does not answer as the cold start", sight)
        forth = self._replace(base, after)
        if not forth.is_consistent or not forth.is_of(sight, [again]):
            raise Doubt("two swaps to the same weights answer differently", sight)
        self._is_proven = True

    def _replace(self, base: str, deployment: Deployment) -> Sight:
        """Replace the weights and empty the cache; return what the server answers then."""
        self._loaded, self.current = {}, ""
        self._wait(lambda: not canary.is_busy(base), "it still answers requests to other weights")
        engine.reload(base, deployment.weights_path)
        try:
            require_weights(deployment)  # a training may have overwritten them meanwhile
        except EvaluationError as error:
            raise Doubt(f"its weights changed while it loaded them ({error})") from None
        self._wait(lambda: engine.has_emptied_cache(base), "its prefix cache cannot be emptied")
        sight = _look(base, deployment)
        if sight.hits:
            raise Doubt("its answers come from cached blocks of other weights", sight)
        return sight

    def _require_new(self, sight: Sight, others: Iterable[Sight]) -> None:
        if not sight.is_consistent:
            raise Doubt("its answers come from cached blocks of other weights", sight)
        if not all(sight.differs(other) for other in others):
            raise Doubt("it answers the canary as with other weights", sight)

    def _wait(self, condition: Callable[[], bool], why_not: str) -> None:
        until = self._clock() + _QUIET_SECONDS
        while not condition():
            if self._clock() > until:
                raise Doubt(why_not)
            self._sleep(_PAUSE)

    # --- adapters ---------------------------------------------------------------------------

    def _add(self, base: str, deployment: Deployment) -> None:
        require_weights(deployment)
        loading, name = deployment.serving.loading, deployment.definition.served_model_name
        assert loading is not None, "it is an adapter"
        if "" not in self._seen:
            self._seen[""] = _look(base, deployment, loading.base)
        if self._first is not None and not self._is_proven:
            self._prove_adapter(base, self._first)
        engine.load(base, deployment, name)
        try:
            require_weights(deployment)  # a training may have overwritten it meanwhile
        except EvaluationError:
            engine.unload(base, deployment, name)
            raise
        sight = _look(base, deployment)
        zero = adapters.changes_nothing(Path(loading.path))
        others = [s for s in self._seen.values() if not (zero and not s.differs(self._seen[""]))]
        try:
            self._require_new(sight, others)
        except Doubt:
            engine.unload(base, deployment, name)
            raise
        self._seen[deployment.weights] = sight
        self._loaded[deployment.weights] = deployment

    def _prove_adapter(self, base: str, first: Deployment) -> None:
        """Load the adapter of the start again, under another name: the answers must be the same."""
        name = f"{first.definition.served_model_name}-again"
        try:
            require_weights(first)
            self._look_again(base, first)
            engine.load(base, first, name)
        except EvaluationError as error:
            raise Doubt(f"the first load cannot be compared with a cold start: {error}") from None
        sight = _look(base, first, name)
        engine.unload(base, first, name)
        weights = first.weights
        if not sight.is_consistent or not sight.is_of(self._seen[weights], self._others(weights)):
            raise Doubt("the first load does not answer as the cold start")
        self._is_proven = True


def brought(loading: Loading, base: str, deployment: Deployment) -> Doubt | EvaluationError | None:
    """Return the problem that :meth:`Loading.bring` raises; None if the server has the weights."""
    try:
        loading.bring(base, deployment)
    except (Doubt, EvaluationError) as error:
        return error
    return None


def _swaps(deployment: Deployment) -> bool:
    loading = deployment.serving.loading
    return loading is not None and loading.how == SWAP


def _look(base: str, deployment: Deployment, name: str = "") -> Sight:
    name = name or deployment.definition.served_model_name
    return canary.look(base, name, adapter=not _swaps(deployment))
