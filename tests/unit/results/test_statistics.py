"""Intervals and comparisons: published values, what always holds, and coverage by simulation.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from snakeval.harnesses.adapter import Sample
from snakeval.results.statistics.averages import macro_average, repeats
from snakeval.results.statistics.differences import detectable, difference, holm, unpaired
from snakeval.results.statistics.intervals import Interval, interval, of_samples, of_stderr
from snakeval.results.statistics.samples import Scores, gather, scores_of, together


def scores(values: Sequence[float], groups: Sequence[str] = ()) -> Scores:
    return Scores.of([str(number) for number in range(len(values))], values, groups)


# --- published values ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_proportions_have_the_intervals_that_newcombe_published_for_wilsons_method(
    right: int, n: int, low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    found = of_samples(scores([1.0] * right + [0.0] * (n - right)))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.note == f"Wilson, {n} samples"


#: Hours of sleep gained with two drugs by the same ten people; "Student" 1908, R's `sleep`.
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)


def test_students_sleep_data_has_the_paired_t_test_that_r_documents() -> None:
    found = difference(scores(SLEEP[0]), scores(SLEEP[1]))
    assert found.value == pytest.approx(-1.58)
    assert (found.low, found.high) == pytest.approx((-2.4598858, -0.7001142))
    assert found.p == pytest.approx(0.002833, abs=1e-6)
    assert (found.higher, found.lower, found.n) == (0, 9, 10)


def test_two_raters_have_the_exact_mcnemar_test_of_the_binomial_distribution() -> None:
    a, b = [1] * 8 + [0] * 2 + [1] * 30, [0] * 8 + [1] * 2 + [1] * 30
    found = difference(scores(a), scores(b))
    assert found.p == pytest.approx(112 / 1024)  # 2 * P(at most 2 of 10 heads)
    assert found.value == pytest.approx(6 / 40)


def test_clustered_errors_are_millers_formula_with_the_correction_for_few_groups() -> None:
    """Miller 2024, equation 4: the plain variance plus the covariances within the groups."""
    random = np.random.default_rng(4)
    groups = np.arange(8).repeat(5)
    values = random.normal(size=8)[groups] + random.normal(size=40)
    rest = values - values.mean()
    variance = sum(rest[groups == g].sum() ** 2 for g in range(8)) / 40**2
    half = stats.t.ppf(0.975, 7) * math.sqrt(variance * 8 / 7)
    found = of_samples(scores(values.tolist(), [f"g{g}" for g in groups]))
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert found.note == "clustered, 40 samples in 8 groups"


def test_holms_correction_matches_a_textbook_and_skips_missing_p_values() -> None:
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, None, 0.06, 0.02], nan_ok=True
    )
    assert holm([None]) == [None]


def test_34_pairs_detect_half_a_standard_deviation_as_in_power_tables() -> None:
    (more, fewer) = (detectable(1.0, 34), detectable(1.0, 33))
    assert more is not None
    assert fewer is not None
    assert more < 0.5 < fewer


# --- bad input -------------------------------------------------------------------------------


def test_groups_known_to_one_of_two_runs_apply_to_both() -> None:
    known, unknown = scores([1, 0, 1, 1], ["a", "a", "b", "b"]), scores([1, 1, 0, 1])
    notes = {difference(known, unknown).note, difference(unknown, known).note}
    assert notes == {"clustered, 4 samples in 2 groups"}


def test_samples_in_groups_detect_as_much_as_their_groups() -> None:
    changes = np.random.default_rng(3).normal(size=40)
    of_groups = difference(
        scores(changes.repeat(5).tolist(), [f"g{n // 5}" for n in range(200)]), scores([0.0] * 200)
    )
    alone = difference(scores(changes.tolist()), scores([0.0] * 40))
    assert of_groups.detectable == pytest.approx(alone.detectable, rel=0.01)


def test_scores_of_0_and_100_percent_have_an_interval() -> None:
    right, wrong = of_samples(scores([1.0] * 50)), of_samples(scores([0.0] * 50))
    assert (right.high, wrong.low) == pytest.approx((1, 0))
    assert right.low is not None
    assert 0.9 < right.low < 1
    in_groups = of_samples(scores([1.0] * 50, ["a"] * 25 + ["b"] * 25))
    assert in_groups.low is not None
    assert in_groups.low < right.low  # two groups tell less than fifty samples


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (of_samples(scores([])), "no sample has a score"),
        (of_samples(scores([math.nan])), "no sample has a score"),
        (of_samples(scores([0.3])), "one sample"),
        (of_samples(scores([0.3, 0.3])), "all 2 samples score the same"),
        (of_samples(scores([0.3, 0.5], ["a", "a"])), "all samples are of one group"),
        (of_stderr(0.5, None, 10), "neither samples nor a standard error"),
        (of_stderr(0.5, math.nan, 10), "neither samples nor a standard error"),
        (of_stderr(1.0, 0.0, 10), "the standard error is 0"),
        (interval(math.nan, 0.1, 10), "not a finite number"),
    ],
)
def test_an_interval_that_cannot_be_computed_has_a_reason(found: Interval, why: str) -> None:
    assert (found.low, found.high, found.method) == (None, None, "")
    assert why in found.reason
    assert found.note == f"none: {found.reason}"


def test_one_sample_that_is_right_has_a_wide_interval() -> None:
    found = of_samples(scores([1.0]))
    assert found.low is not None
    assert found.low < 0.25


def test_an_interval_has_the_worst_and_the_best_case_of_ungraded_samples() -> None:
    data = scores([1.0] * 40 + [0.0] * 17 + [math.nan] * 3)
    found = interval(40 / 57, scores=data)
    worst, best = (of_samples(scores([1.0] * n + [0.0] * (60 - n))) for n in (40, 43))
    assert (found.low, found.high) == (worst.low, best.high)
    assert (found.graded, found.ungraded) == (57, 3)
    assert found.note == (
        "Wilson, 57 of 60 samples graded; from the worst to the best case of the others"
    )
    unknown = interval(4.5, scores=scores([4.0, 5.0, math.nan]))
    assert unknown.note == ("none: 2 of 3 samples graded, and the range of the metric is unknown")


def test_a_question_without_one_of_its_answers_has_the_worst_and_the_best_case_of_that_one() -> (
    None
):
    ids = [f"q{n // 2}" for n in range(40)]
    data = Scores.of(ids, [1.0, 0.0, 1.0, 1.0] * 9 + [1.0, 0.0, 1.0, math.nan])
    assert (data.total, data.complete, len(data.ungraded)) == (20, False, 0)
    assert [data.completed(s).values[-1] for s in (0.0, 1.0)] == [0.5, 1.0]
    found = of_samples(data)
    assert found.basis == "not all answers to 20 samples graded"
    assert found.low is not None


def test_a_sample_that_lacks_the_metric_of_the_others_is_ungraded() -> None:
    samples = [Sample(str(n), "t", {"acc": 1.0, "f1": 0.5} if n else {"f1": 1.0}) for n in range(4)]
    found = gather([*samples, Sample("4", "t", {})])
    assert list(found["t", "acc", ""].ungraded) == ["0", "4"]
    assert list(found["t", "f1", ""].ungraded) == ["4"]


def test_a_harness_may_leave_ungraded_samples_out_or_count_them_as_wrong() -> None:
    samples = gather(Sample(str(n), "t", {"acc": 1.0} if n < 8 else {}) for n in range(10))
    for value in (1.0, 0.8, 80.0):
        found = scores_of(samples, ("t", "acc", ""), value)
        assert found is not None
        assert len(found[0].ungraded) == 2
    assert scores_of(samples, ("t", "acc", ""), 0.9) is None


def test_the_ungraded_samples_of_tasks_and_runs_stay_ungraded() -> None:
    samples = gather(
        Sample(str(n), task, {"acc": 1.0} if n else {}, group=f"g{n}")
        for task in ("one", "two")
        for n in range(4)
    )
    found, _ = scores_of(samples, ("both", "acc", ""), 1.0) or (None, 1)
    assert found is not None
    assert list(found.ungraded) == ["one/0", "two/0"]
    assert found.ungraded_groups is not None
    assert list(found.ungraded_groups) == ["one/g0", "two/g0"]
    runs = together([scores([1.0, math.nan, math.nan]), scores([0.0, 1.0, math.nan])])
    assert (runs.values.tolist(), list(runs.ungraded)) == ([0.5, 1.0], ["2"])
    assert runs.lacking is not None
    assert runs.lacking.tolist() == [0.0, 0.5]


def test_percentages_have_intervals_in_percent() -> None:
    samples = gather(Sample(str(n), "t", {"acc": n < 3}) for n in range(4))
    found = scores_of(samples, ("t", "acc", ""), 75.0)
    assert found is not None
    made = interval(75.0, scores=found[0], scale=found[1])
    assert made.low is not None
    assert 25 < made.low < 75


def test_a_metric_that_is_not_a_mean_of_samples_has_no_sample_scores() -> None:
    samples = gather(Sample(str(n), "t", {"f1": n < 3}) for n in range(4))
    assert scores_of(samples, ("t", "f1", ""), 0.8) is None
    assert scores_of(samples, ("t", "other", ""), 0.75) is None


def test_a_group_has_its_tasks_samples_if_each_counts_the_same() -> None:
    samples = gather(
        Sample(str(n), task, {"acc": n < right})
        for task, right, size in (("one", 3, 4), ("two", 1, 6))
        for n in range(size)
    )
    found = scores_of(samples, ("both", "acc", ""), 0.4)
    assert found is not None
    assert (found[0].values.size, len(set(found[0].ids))) == (10, 10)
    macro = (3 / 4 + 1 / 6) / 2
    assert scores_of(samples, ("both", "acc", ""), macro) is None


def test_a_group_of_tasks_has_the_groups_of_its_tasks() -> None:
    samples = gather(
        Sample(str(n), task, {"acc": n < 2}, group=text)
        for task, texts in (("one", "aabb"), ("two", "aab."))
        for n, text in enumerate(texts)
    )
    found, _ = scores_of(samples, ("both", "acc", ""), 0.5) or (None, 1)
    assert found is not None
    assert of_samples(found).note == "clustered, 8 samples in 5 groups"


def test_a_filter_that_only_the_samples_name_is_found() -> None:
    samples = gather(Sample(str(n), "t", {"acc": n < 3}, filter="strict") for n in range(4))
    assert scores_of(samples, ("t", "acc", ""), 0.75) is not None


def test_a_standard_error_reveals_a_proportion() -> None:
    proportion = of_stderr(0.95, math.sqrt(0.95 * 0.05 / 99), 100)
    assert proportion.note == "Wilson, 100 samples"
    assert of_stderr(0.95, 0.03, 100).note == "the harness's standard error"
    unknown = of_stderr(4.2, 0.1, None)
    assert (unknown.low, unknown.high) == pytest.approx((4.004, 4.396), abs=1e-4)


def test_answers_to_one_question_are_averaged() -> None:
    found = Scores.of(["a", "a", "b", "b"], [1, 0, 1, 1])
    assert (list(found.ids), found.values.tolist(), found.answers) == (["a", "b"], [0.5, 1.0], 2)


def test_runs_together_have_the_mean_of_each_question() -> None:
    runs = [Scores.of(["a", "b"], values) for values in ([1, 0], [0, 0], [1, 1])]
    found = together(runs)
    assert found.answers == 3
    assert found.values.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_only_common_samples_are_paired_and_they_are_counted() -> None:
    a = Scores.of(["1", "2", "3"], [1, 1, 0])
    b = Scores.of(["3", "2", "9"], [1, 1, 0])
    found = difference(a, b)
    assert (found.n, found.left, found.right, found.value) == (2, 3, 3, -0.5)
    nothing = difference(a, Scores.of(["x"], [1]))
    assert (nothing.n, nothing.value, nothing.p) == (0, None, None)
    assert nothing.note == "none: no sample is common"


def test_models_that_agree_on_all_samples_differ_by_0_with_an_interval() -> None:
    same = difference(scores([1.0, 0.0] * 20), scores([1.0, 0.0] * 20))
    assert (same.value, same.p) == (0, 1)
    assert same.low is not None
    assert same.low < 0
    equal = difference(scores([0.3, 0.4, 0.6] * 20), scores([0.3, 0.4, 0.6] * 20))
    assert (equal.value, equal.p, equal.note) == (0, 1, "score, 60 samples")
    assert equal.low == pytest.approx(-(1.96**2) / (60 + 1.96**2), abs=1e-4)  # Wilson's bound
    unbounded = difference(scores([0.3, 0.4, 6]), scores([0.3, 0.4, 6]))
    assert (unbounded.low, unbounded.p) == (None, 1)
    assert unbounded.note.startswith("none: ")


def test_an_average_names_its_scores_and_different_metrics_have_none() -> None:
    found = Interval(0.4, 0.6)
    same = macro_average({"a": ("acc", 0.5, found), "b": ("acc", 0.7, Interval(0.6, 0.8))})
    assert (same.value, same.note) == (pytest.approx(0.6), "mean of acc over a, b")
    assert (same.low, same.high) == pytest.approx((0.6 - 0.1 / 2**0.5, 0.6 + 0.1 / 2**0.5))
    other = macro_average({"a": ("acc", 0.5, found), "b": ("f1", 0.7, found)})
    assert (other.value, other.note) == (None, "none: no average over acc and f1")
    unsure = macro_average({"a": ("acc", 0.5, Interval(reason="x"))})
    assert (unsure.value, unsure.low) == (0.5, None)


def test_the_interval_of_an_average_of_perfect_scores_does_not_exceed_1() -> None:
    found = of_samples(scores([1.0] * 40))
    average = macro_average({"a": ("acc", 1.0, found), "b": ("acc", 1.0, found)})
    assert average.high == pytest.approx(1.0)


def test_scores_without_samples_are_compared_as_newcombe_published_it() -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, table II, method 10, example (a)."""
    a, b = of_stderr_of(56, 70), of_stderr_of(48, 80)
    found = unpaired(56 / 70, a, 48 / 80, b)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert unpaired(0.5, Interval(reason="x"), 0.5, b) is None


def of_stderr_of(right: int, n: int) -> Interval:
    return of_stderr(right / n, math.sqrt(right / n * (1 - right / n) / (n - 1)), n)


def test_repeats_vary_within_and_between() -> None:
    found = repeats([0.5, 0.6, 0.7], [0.1, 0.1, 0.1])
    assert (found.value, found.within, found.between) == pytest.approx((0.6, 0.01, 0.01))
    assert found.low is not None
    assert found.low < 0.6
    assert repeats([0.5], [None]).note == "none: one run does not vary"
    assert repeats([0.5, 0.5], [None, None]).low is None


# --- what always holds -------------------------------------------------------------------------

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)
BINARY = st.sampled_from([0.0, 1.0])
MAYBE = st.one_of(FINITE, BINARY, st.just(math.nan))
SOME = st.one_of(st.lists(BINARY, max_size=40), st.lists(MAYBE, max_size=40))


@given(SOME, st.integers(0, 5))
def test_an_interval_contains_its_score_or_says_why_there_is_none(
    values: list[float], groups: int
) -> None:
    named = [f"g{n % groups}" for n in range(len(values))] if groups else []
    data = scores(values, named)
    mean = float(data.values.mean()) if data.values.size else 0.0
    found = interval(mean, scores=data)
    if found.low is None or found.high is None:
        assert found.note.startswith("none: ")
    else:
        assert found.low <= mean <= found.high
        assert math.isfinite(found.low)
        assert math.isfinite(found.high)
        assert found.high > found.low


@given(FINITE, st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.integers(0, 10**9)))
def test_an_interval_of_a_standard_error_contains_its_score(
    value: float, stderr: float | None, n: int | None
) -> None:
    found = interval(value, stderr, n)
    if found.low is None or found.high is None:
        assert found.note.startswith("none: ")
    else:
        assert found.low <= value <= found.high


@given(SOME, SOME, st.integers(0, 4))
def test_a_difference_changes_its_sign_with_the_order_of_models(
    left: list[float], right: list[float], groups: int
) -> None:
    def named(values: list[float]) -> list[str]:
        return [f"g{n % groups}" for n in range(len(values))] if groups else []

    a, b = scores(left, named(left)), scores(right, named(right))
    one, other = difference(a, b), difference(b, a)
    assert (one.n, one.left, one.higher) == (other.n, other.right, other.lower)
    assert one.note == other.note
    for mine, turned in ((one.value, other.value), (one.low, other.high), (one.high, other.low)):
        assert (mine is None) == (turned is None)
        if mine is not None and turned is not None:
            assert mine == pytest.approx(-turned, rel=1e-6, abs=1e-6)
    if one.value is not None and one.low is not None and one.high is not None:
        slack = 1e-9 * max(1.0, abs(one.value))
        assert one.low - slack <= one.value <= one.high + slack
    if one.p is not None:
        assert 0 <= one.p <= 1


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_a_correction_lowers_no_p_value(ps: list[float]) -> None:
    for before, after in zip(ps, holm(ps), strict=True):
        assert after is not None
        assert before <= after + 1e-12
        assert after <= 1


# --- coverage ----------------------------------------------------------------------------------

RUNS = 1000
Random = np.random.Generator
Made = Callable[[Random], tuple[float | None, float | None, float]]


def of_proportion(p: float, n: int) -> Made:
    def made(random: Random) -> tuple[float | None, float | None, float]:
        found = of_samples(scores((random.random(n) < p).astype(float).tolist()))
        return found.low, found.high, p

    return made


def of_numbers(random: Random) -> tuple[float | None, float | None, float]:
    found = of_samples(scores(random.normal(3, 2, 60).tolist()))
    return found.low, found.high, 3.0


def of_groups(random: Random) -> tuple[float | None, float | None, float]:
    groups = np.arange(30).repeat(10)
    hidden = random.normal(size=30)[groups] + random.normal(size=300)
    found = of_samples(scores((hidden > 0).astype(float).tolist(), [f"g{g}" for g in groups]))
    return found.low, found.high, 0.5


def of_an_error(random: Random) -> tuple[float | None, float | None, float]:
    values = random.normal(3, 2, 60)
    found = of_stderr(float(values.mean()), float(stats.sem(values)), 60)
    return found.low, found.high, 3.0


def of_two_that_answer(left: float, right: float, n: int) -> Made:
    """Two models that find the same questions hard."""

    def made(random: Random) -> tuple[float | None, float | None, float]:
        hard = random.normal(size=n)
        a, b = (
            (0.7 * hard + math.sqrt(1 - 0.49) * random.normal(size=n) < stats.norm.ppf(p))
            for p in (left, right)
        )
        found = difference(scores(a.astype(float).tolist()), scores(b.astype(float).tolist()))
        return found.low, found.high, left - right

    return made


def of_two_numbers(random: Random) -> tuple[float | None, float | None, float]:
    hard = random.normal(size=60)
    left, right = hard + random.normal(0.2, 1, 60), hard + random.normal(0, 1, 60)
    found = difference(scores(left.tolist()), scores(right.tolist()))
    return found.low, found.high, 0.2


def of_two_in_groups(random: Random) -> tuple[float | None, float | None, float]:
    groups = np.arange(20).repeat(15)
    left = random.normal(size=20)[groups] + random.normal(0.1, 1, 300)
    named = [f"g{g}" for g in groups]
    found = difference(
        scores(left.tolist(), named), scores(random.normal(size=300).tolist(), named)
    )
    return found.low, found.high, 0.1


def of_two_that_share_nothing(random: Random) -> tuple[float | None, float | None, float]:
    a, b = (random.random(n) < p for n, p in ((150, 0.8), (120, 0.65)))
    pair = [(float(x.mean()), of_samples(scores(x.astype(float).tolist()))) for x in (a, b)]
    found = unpaired(*pair[0], *pair[1])
    assert found is not None
    return found.low, found.high, 0.15


def of_an_average(random: Random) -> tuple[float | None, float | None, float]:
    chances = (0.95, 0.6, 0.8, 0.3)
    right = [(random.random(100) < p).astype(float) for p in chances]
    found = macro_average(
        {
            str(p): ("acc", x.mean(), of_samples(scores(x.tolist())))
            for p, x in zip(chances, right, strict=True)
        }
    )
    return found.low, found.high, float(np.mean(chances))


def of_repeats(random: Random) -> tuple[float | None, float | None, float]:
    found = repeats(random.normal(0.7, 0.02, 5).tolist(), [None] * 5)
    return found.low, found.high, 0.7


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(of_proportion(0.5, 200), id="half right"),
        pytest.param(of_proportion(0.97, 300), id="nearly all right"),
        pytest.param(of_numbers, id="numbers"),
        pytest.param(of_groups, id="groups"),
        pytest.param(of_an_error, id="standard error"),
        pytest.param(of_two_that_answer(0.7, 0.6, 100), id="paired"),
        pytest.param(of_two_that_answer(0.98, 0.97, 200), id="paired, nearly all right"),
        pytest.param(of_two_numbers, id="paired numbers"),
        pytest.param(of_two_in_groups, id="paired, groups"),
        pytest.param(of_two_that_share_nothing, id="unpaired"),
        pytest.param(of_an_average, id="average"),
        pytest.param(of_repeats, id="repeats"),
    ],
)
def test_95_percent_intervals_contain_the_truth_95_times_in_100(made: Made) -> None:
    random = np.random.default_rng(2024)
    hits = 0
    for _ in range(RUNS):
        low, high, truth = made(random)
        hits += low is not None and high is not None and low <= truth <= high
    assert 0.93 <= hits / RUNS <= 0.97
