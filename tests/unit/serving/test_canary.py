"""The canary: which weights a server has, and whether cached blocks are of these weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snakeval.serving import canary
from snakeval.serving.canary import Answer, CanaryError, Sight
from support.weights_server import BASE, Engine, serving


def sight(number: float, noise: float = 0.0) -> Sight:
    answer = Answer(("a", "b"), (number, number))
    return Sight((number, number, number), answer, answer, noise)


@pytest.mark.parametrize("adapter", [False, True])
def test_other_weights_differ_and_equal_ones_do_not(adapter: bool) -> None:
    engine = Engine("first")
    with serving(engine) as url:
        before = canary.look(url, BASE, adapter=adapter)
        again = canary.look(url, BASE, adapter=adapter)
        engine.names[BASE], _ = "second", engine.cache.clear()
        after = canary.look(url, BASE, adapter=adapter)
    assert before.is_consistent
    assert after.is_consistent
    assert again.is_of(before, [after])
    assert not after.is_of(before, [])
    assert after.differs(before)
    assert not again.differs(before)


@pytest.mark.parametrize("adapter", [False, True])
def test_cached_blocks_of_other_weights_are_seen(adapter: bool) -> None:
    engine = Engine("first")
    with serving(engine) as url:
        canary.look(url, BASE, adapter=adapter)
        engine.names[BASE] = "second"
        stale = canary.look(url, BASE, adapter=adapter)
    assert not stale.is_consistent
    assert stale.hits is None if adapter else stale.hits


def test_an_adapter_is_never_asked_for_the_numbers_of_its_prompt() -> None:
    engine, asked = Engine("first"), []
    complete = engine.complete
    engine.complete = lambda body: asked.append(body) or complete(body)  # type: ignore[method-assign,func-returns-value]
    with serving(engine) as url:
        canary.look(url, BASE, adapter=True)
    assert asked
    assert not any(body.get("echo") or "prompt_logprobs" in body for body in asked)


def test_a_prompt_is_longer_than_a_block_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.weights_server.BLOCK", 528)
    engine, lengths = Engine("first"), []
    complete = engine.complete
    engine.complete = lambda body: lengths.append(len(body["prompt"])) or complete(body)  # type: ignore[method-assign,func-returns-value]
    with serving(engine) as url:
        canary.look(url, BASE)
        assert not canary.is_busy(url)
    assert min(lengths) > 528


def test_noise_is_no_difference() -> None:
    engine = Engine("first")
    engine.noise = 0.01
    with serving(engine) as url:
        before, after = canary.look(url, BASE), canary.look(url, BASE)
    assert before.noise == pytest.approx(0.02)
    assert not after.differs(before)
    assert after.is_of(before, [])


def test_weights_are_those_that_are_nearest() -> None:
    own, other = sight(-1.0), sight(-1.1)
    assert sight(-1.01).is_of(own, [other])
    assert not sight(-1.09).is_of(own, [other])
    assert not sight(-2.0).is_of(own, [])


def test_an_equal_cached_answer_is_no_other_weights() -> None:
    before, after = sight(-1.0), sight(-2.0)
    assert after.differs(before)
    assert not replace(after, cached=before.cached).differs(before)


def test_tokens_may_differ_at_a_near_tie() -> None:
    first = Answer(("a", "b"), (-1.0, -1.0), ({"a": -1.0}, {"b": -1.0, "c": -1.1, "d": -3.0}))
    near = ({"a": -1.0}, {"b": -1.1, "c": -1.05})
    assert first.agrees(Answer(("a", "c"), (-1.0, -1.05), near))
    assert not first.agrees(Answer(("a", "d"), (-1.0, -1.0), ({}, {"d": -1.0, "b": -1.0})))
    assert not first.agrees(Answer(("a", "x"), (-1.0, -1.0), ({}, {"x": -1.0})))
    assert not first.agrees(Answer(("a", "b"), (-1.0, -2.0)))
    assert not Answer((), ()).agrees(Answer((), ()))


def test_a_server_without_log_probabilities_says_nothing() -> None:
    with (
        serving(Engine("first", "mute")) as url,
        pytest.raises(CanaryError, match="HTTP Error 400"),
    ):
        canary.look(url, BASE)
    with pytest.raises(CanaryError, match="refused"):
        canary.look(url, BASE)
    assert not canary.is_busy(url)
