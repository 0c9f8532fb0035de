"""Notes that several Snakemakes write at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakemake_executor_plugin_slurm_resume.identity import Task
from snakemake_executor_plugin_slurm_resume.notes import Note, Notes, SlurmJob

#: How often each of two Snakemakes writes the note.
_TIMES = 200


def test_two_snakemakes_that_write_one_note_leave_a_whole_one(tmp_path: Path) -> None:
    def write(snakemake: int) -> None:
        notes = Notes(tmp_path)
        for number in range(_TIMES):
            jobs = tuple(SlurmJob(str(job), "t") for job in range(1 + snakemake * 40 + number % 7))
            notes.write(Note(Task("n", "evaluate", "", {"/o": "d"}), jobs=jobs))
            assert notes.read("n") is not None, "half a note was read"

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(2)))
    assert [path.name for path in tmp_path.iterdir()] == ["n.json"]


def test_a_note_keeps_why_its_task_waits_until_slurm_has_a_job(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.write(Note(Task("n", "evaluate", "", {"/o": "d"}), waits="AssocMaxSubmitJobLimit"))
    note = notes.read("n")
    assert note is not None
    assert note.waits == "AssocMaxSubmitJobLimit"
    assert note.with_job(SlurmJob("1", "t")).waits == ""
