"""Tests the demo benchmarks: the generator, the committed files and the known scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakeval.demo import items

COMMITTED = Path(__file__).parents[3] / "config" / "benchmarks" / "demo"


def test_there_are_three_benchmarks_of_forty_distinct_items() -> None:
    assert items.benchmarks() == ["arithmetic", "sorting", "letters"]
    for benchmark in items.benchmarks():
        generated = items.generate(benchmark)
        assert len({item.question for item in generated}) == 40
        assert len({item.id for item in generated}) == 40


def test_committed_files_are_what_the_generator_writes() -> None:
    assert items.differing(COMMITTED) == []


@pytest.mark.parametrize("benchmark", items.benchmarks())
def test_each_benchmark_has_a_task_file_for_the_harness(benchmark: str) -> None:
    task = (COMMITTED / f"{benchmark}.yaml").read_text(encoding="utf-8")
    assert f"task: demo_{benchmark}\n" in task
    assert f"test: {benchmark}.jsonl\n" in task


def test_answers_match_an_independent_calculation() -> None:
    for item in items.generate("arithmetic"):
        expression = item.question.removeprefix("What is ").partition("?")[0]
        assert item.answer == str(eval(expression))
    for item in items.generate("sorting"):
        words = item.question.partition(": ")[2].partition(".")[0].split(", ")
        assert len(set(words)) == 4
        assert item.answer == ", ".join(sorted(words))
    for item in items.generate("letters"):
        _, letter, _, word, _ = item.question.split('"')
        assert item.answer == str(len(word.split(letter)) - 1)


@pytest.mark.parametrize(
    ("benchmark", "full", "first_ten"),
    [("arithmetic", 0.675, 0.8), ("sorting", 0.725, 0.7), ("letters", 0.8, 0.5)],
)
def test_scores_are_exactly_known(benchmark: str, full: float, first_ten: float) -> None:
    assert items.expected_score("careful", benchmark) == 1.0
    assert items.expected_score("careful", benchmark, limit=10) == 1.0
    assert items.expected_score("sloppy", benchmark) == full
    assert items.expected_score("demo/sloppy", benchmark) == full
    assert items.expected_score("sloppy", benchmark, limit=10) == first_ten


@pytest.mark.parametrize(
    "template",
    [
        "{}",
        "Question: {}\nAnswer:",
        "<|user|>\nYou are a careful assistant.\n{}<|end|>\n<|assistant|>\n",
        "Question: What is 1 + 1? Answer with the number only.\nAnswer: 2\n\nQuestion: {}\nAnswer:",
    ],
    ids=["bare", "question-answer", "chat-template", "few-shot"],
)
def test_models_answer_the_last_question_in_any_template(template: str) -> None:
    for benchmark in items.benchmarks():
        for item in items.generate(benchmark):
            prompt = template.format(item.question)
            assert items.respond("careful", prompt) == item.answer
            assert items.respond("sloppy", prompt) == items.respond("sloppy", item.question)


def test_models_also_answer_questions_outside_the_committed_data() -> None:
    assert items.respond("careful", "What is 123456 * 1000?") == "123456000"
    assert items.respond("careful", "Sort these words alphabetically: b, a.") == "a, b"


@pytest.mark.parametrize("model", ["careful", "sloppy"])
def test_models_do_not_guess_other_questions(model: str) -> None:
    assert items.respond(model, "What is the capital of France?") == "I do not know."
    assert items.respond(model, "") == "I do not know."


def test_write_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "new" / "folder"

    assert items.main(["--write", str(directory)]) == 0
    assert items.main(["--check", str(directory)]) == 0

    (directory / "letters.jsonl").unlink()
    first = json.loads((directory / "sorting.jsonl").read_text(encoding="utf-8").splitlines()[0])
    (directory / "sorting.jsonl").write_text(json.dumps(first), encoding="utf-8")
    assert items.main(["--check", str(directory)]) == 1
    complaints = capsys.readouterr().err.splitlines()
    assert [Path(line.split()[0]).name for line in complaints] == ["sorting.jsonl", "letters.jsonl"]
