"""Errors: a problem, a place and a hint, and one formatter."""

from __future__ import annotations

import copy
import pickle

import pytest

from snakeval.errors import ConfigError, EvaluationError, Problem, did_you_mean, nearest


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("no key 'a'"), "no key 'a'"),
        (Problem("no key 'a'", "c.yaml: models"), "c.yaml: models: no key 'a'"),
        (Problem("no key 'a'", hint="add it"), "no key 'a'; add it"),
        (Problem("no key 'a'", "c.yaml", "add it"), "c.yaml: no key 'a'; add it"),
    ],
)
def test_a_problem_is_one_line(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_word_without_an_end_is_shortened() -> None:
    problem = Problem(f"no run {'x' * 100_000}", "a" * 900, "look")
    assert str(problem) == f"{'a' * 900}: no run {'x' * 80}…; look"


def test_a_single_text_is_a_problem_for_each_line() -> None:
    error = ConfigError("a: wrong\nb: wrong, too")
    assert error.problems == (Problem("a: wrong"), Problem("b: wrong, too"))
    assert str(error) == "a: wrong\nb: wrong, too"


def test_several_problems_are_one_error_and_each_is_named_once() -> None:
    wrong = Problem("wrong", "a", "mend it")
    error = ConfigError.of([wrong, Problem("wrong", "b"), wrong])
    assert error.problems == (wrong, Problem("wrong", "b"))
    assert str(error) == "a: wrong; mend it\nb: wrong"


def test_a_file_is_put_before_every_place() -> None:
    error = ConfigError.of([Problem("wrong", "a", "mend it"), Problem("b: wrong")])
    assert str(error.within("c.yaml")) == "c.yaml: a: wrong; mend it\nc.yaml: b: wrong"
    assert str(Problem("wrong", "a").under("export")) == "export.a: wrong"


def test_a_failure_has_its_hint_apart_and_is_one_line() -> None:
    error = EvaluationError("no engine\n answers", hint="start one")
    assert (error.problem, error.where, error.hint) == ("no engine answers", "", "start one")
    assert str(error) == "no engine answers; start one"


@pytest.mark.parametrize(
    "error", [ConfigError("wrong", where="a", hint="b"), EvaluationError("wrong", hint="b")]
)
def test_an_error_can_be_copied_to_another_process(error: Exception) -> None:
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(other), str(other)) == (type(error), str(error))
        assert vars(other) == vars(error)


def test_the_nearest_names_are_offered() -> None:
    assert nearest("lama", ["llama", "gemma"]) == "did you mean 'llama'?"
    assert did_you_mean("lama", ["llama"]) == "; did you mean 'llama'?"
    assert (nearest("x", ["llama"]), did_you_mean("x", [])) == ("", "")
