"""What two measured scores prove about a rule: pass, fail or inconclusive."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from snakeval.results import gate
from snakeval.results.comparison import Measured, compare
from snakeval.results.evidence import Judged, Verdict, judged
from snakeval.results.policy import Policy, Rule
from support.measured import KEY, measured

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
#: 800 of 1,000 right.
OLD = [1.0] * 800 + [0.0] * 200


def drop(old: list[float], new: list[float], rule: Rule, limits: int = 1) -> Judged:
    (found,) = compare([(measured(new), measured(old))])
    (one,) = judged(rule, found, limits)
    return one


def whole(old: Measured, new: Measured, policy: Policy) -> Verdict:
    return gate.outcome(gate.judge({KEY: old}, {KEY: new}, [], policy))[0]


@pytest.mark.parametrize(
    ("new", "margin", "verdict", "said"),
    [
        (OLD, 0.02, PASS, "no difference (-0.003827 to +0.003827), so a drop of more than 0.02 is"),
        ([0.0] * 100 + OLD[100:], 0.02, FAIL, "worse by 0.1 (-0.1202 to -0.08"),
        ([0.0] * 20 + OLD[20:], 0.02, INCONCLUSIVE, "1,000 samples can detect 0.012; 0.02 is"),
        ([0.0] * 2 + OLD[2:], 0.0, INCONCLUSIVE, "no number of samples excludes a drop of 0"),
        (OLD[:980] + [1.0] * 20, 0.0, PASS, "better by 0.02"),
    ],
)
def test_a_drop_passes_or_fails_if_the_interval_excludes_its_limit(
    new: list[float], margin: float, verdict: Verdict, said: str
) -> None:
    found = drop(OLD, new, Rule(max_drop=margin))
    assert found.verdict == verdict
    assert said in found.reason


def test_half_the_answers_of_ten_lost_do_not_pass_a_gate_of_two_percent() -> None:
    found = drop([1.0] * 10, [1.0] * 5 + [0.0] * 5, Rule(max_drop=0.02))
    assert found == Judged(
        INCONCLUSIVE,
        "worse by 0.5 (-0.7634 to -0.0837) with p = 0.062; 10 samples can detect 0.52; 0.02 needs "
        "5,500",
    )
    assert drop([1.0] * 10, [0.0] * 10, Rule(max_drop=0.02)).verdict == FAIL


def test_few_samples_name_the_number_that_the_limit_needs() -> None:
    found = drop([1.0] * 10, [1.0] * 10, Rule(max_drop=0.02))
    assert found.reason == (
        "no difference (-0.2775 to +0.2775); 10 samples can detect 0.39; 0.02 needs 3,000"
    )
    found = drop([1.0] * 2, [1.0] * 2, Rule(max_drop=0.02))
    assert found.reason.endswith("; 2 samples cannot detect 0.02")


def test_more_limits_require_more_evidence_for_a_failure_and_the_text_says_so() -> None:
    new = [0.0] * 41 + OLD[41:]
    alone = drop(OLD, new, Rule(max_drop=0.029))
    together = drop(OLD, new, Rule(max_drop=0.029), limits=20)
    assert (alone.verdict, together.verdict) == (FAIL, INCONCLUSIVE)
    assert "corrected" not in alone.reason
    assert together.reason.endswith(" (corrected for 20 limits)")


def test_a_metric_of_which_less_is_better_is_turned() -> None:
    sides = (measured(OLD, higher_is_better=False), measured([0.0] * 1000, higher_is_better=False))
    for new, old, verdict in ((*sides, FAIL), (*reversed(sides), PASS)):
        (found,) = compare([(new, old)])
        (one,) = judged(Rule(max_drop=0.02), found)
        assert one.verdict == verdict


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (Rule(at_least=0.7), PASS),
        (Rule(at_least=0.79), INCONCLUSIVE),
        (Rule(at_least=0.81), INCONCLUSIVE),
        (Rule(at_least=0.9), FAIL),
        (Rule(at_most=0.9), PASS),
        (Rule(at_most=0.7), FAIL),
        (Rule(at_least=0.79, significant=False), PASS),
        (Rule(at_least=0.81, significant=False), FAIL),
        (Rule(max_drop=0.0, significant=False), PASS),
    ],
)
def test_a_limit_of_the_score_requires_evidence_unless_the_rule_waives_it(
    rule: Rule, verdict: Verdict
) -> None:
    assert drop(OLD, OLD, rule).verdict == verdict


def test_a_score_of_few_samples_passes_no_limit() -> None:
    (found,) = compare([(measured([1.0]), measured([1.0]))])
    (one,) = judged(Rule(at_least=0.95), found)
    assert one.verdict == INCONCLUSIVE
    assert one.reason.startswith("1 is at least 0.95 (0.2065 to 1)")


def test_a_candidate_that_lost_its_wrong_answers_does_not_pass() -> None:
    """All graded answers are right, but the others may have been wrong."""
    new = [1.0] * 800 + [math.nan] * 200
    found = drop(OLD, new, Rule(max_drop=0.02))
    assert found.verdict == PASS  # at worst, all of them are wrong: as before
    found = drop([1.0] * 1000, new, Rule(max_drop=0.02))
    assert found.verdict == INCONCLUSIVE
    assert found.reason.startswith("no difference (-0.2")
    found = drop([1.0] * 1000, [0.0] * 800 + [math.nan] * 200, Rule(max_drop=0.02))
    assert found.verdict == FAIL


def test_scores_without_samples_and_errors_decide_nothing() -> None:
    bare = measured(OLD, samples=False)
    (found,) = compare([(bare, bare)])
    for rule in (Rule(max_drop=0.5), Rule(at_least=0.1)):
        (one,) = judged(rule, found)
        assert one.verdict == INCONCLUSIVE
        assert "without an interval" in one.reason


def test_standard_errors_alone_can_decide() -> None:
    old, new = (measured(OLD, samples=False, stderr=0.01265) for _ in range(2))
    (found,) = compare([(new, old)])
    assert [next(judged(Rule(max_drop=m), found)).verdict for m in (0.1, 0.02)] == [
        PASS,
        INCONCLUSIVE,
    ]


def test_exactly_the_allowed_drop_is_allowed_despite_rounding() -> None:
    rule = Rule(max_drop=0.02, significant=False)
    assert drop([1.0] * 50 + [0.0] * 50, [1.0] * 48 + [0.0] * 52, rule).verdict == PASS


VALUES = st.one_of(
    st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=10),
    st.lists(st.floats(0, 1), min_size=1, max_size=10),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=10),
)
POLICIES = st.builds(
    Policy,
    default=st.builds(
        Rule,
        max_drop=st.one_of(st.none(), st.floats(0, 1)),
        at_least=st.one_of(st.none(), st.floats(-1, 1)),
        at_most=st.one_of(st.none(), st.floats(-1, 1)),
    ),
)


@settings(max_examples=60)
@given(VALUES, VALUES, POLICIES, st.sampled_from(["copy", "health", "definition", "error", "none"]))
def test_a_gate_without_evidence_never_passes(
    old: list[float], new: list[float], policy: Policy, lack: str
) -> None:
    before, after = measured(old), measured(new, host="i")
    if lack == "copy":
        after = measured(old)
    elif lack == "health":
        after = replace(after, unhealthy="12 % cut")
    elif lack == "definition":
        after = measured(new, host="i", identity={"task": "b", "params": {"temperature": 1}})
    elif lack == "error":
        after = measured(new, host="i", samples=False)
        assume(policy.default.limits)
    else:
        assert gate.outcome(gate.judge({KEY: before}, {}, [KEY], policy))[0] == INCONCLUSIVE
        assert gate.outcome(gate.judge({}, {KEY: after}, [KEY], policy))[0] == INCONCLUSIVE
        assert gate.outcome(gate.judge({}, {}, [], policy))[0] == INCONCLUSIVE
        return
    assert whole(before, after, policy) == INCONCLUSIVE


@settings(max_examples=30)
@given(
    st.sampled_from([1, 2, 10, 100, 400]),
    st.floats(0, 0.2),
    st.floats(0.001, 0.5),
    st.integers(0, 3),
)
def test_equal_or_fewer_right_answers_pass_only_with_the_samples_that_the_limit_needs(
    n: int, lost: float, margin: float, groups: int
) -> None:
    """Without a gain, at least Wilson's number of samples must lack the drop."""
    names = [f"g{number % groups}" for number in range(n)] if groups else []
    dropped = round(n * lost)
    old = measured([1.0] * n, names)
    new = measured([0.0] * dropped + [1.0] * (n - dropped), names, host="i")
    if whole(old, new, Policy(default=Rule(max_drop=margin))) == PASS:
        units = min(groups, n) if groups else n
        assert units >= 1.95**2 * (1 - margin) / margin
        assert dropped / n <= margin
