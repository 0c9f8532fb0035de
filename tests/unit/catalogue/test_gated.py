"""Tasks with gated data sets, and the token that their harnesses get."""

from __future__ import annotations

import pytest

from snakeval import catalogue
from snakeval.catalogue import gated


@pytest.mark.parametrize(
    ("task", "data_set"),
    [
        ("lm-eval.gpqa_diamond_cot_zeroshot", "Idavidrein/gpqa"),
        ("leaderboard_gpqa", "Idavidrein/gpqa"),
        ("leaderboard", "Idavidrein/gpqa"),
        ("simple_evals.GPQA_diamond", "Idavidrein/gpqa"),
        ("nemo_skills.ns_hle_aa", "cais/hle"),
        ("safety_eval.wildguard_completions", "allenai/wildguardmix"),
        ("leaderboard_bbh", ""),
        ("bachelor", ""),
        ("my.own", ""),
        ("", ""),
    ],
)
def test_the_data_set_follows_from_the_name_of_the_task(task: str, data_set: str) -> None:
    assert gated.data_set(task) == data_set


def test_each_row_is_of_a_task_in_the_catalogue() -> None:
    found = {gated.data_set(task.name) for task in catalogue.tasks()} - {""}
    assert found == {row["data_set"] for row in catalogue.rows("gated_tasks.csv")}
