"""Bridge of the rule `report` to the package."""

from pathlib import Path

from snakeval.files import in_one_sentence
from snakeval.results.report import write
from snakeval.run.directory import RunDirectory

run = RunDirectory(Path(snakemake.output.page).parent)
with in_one_sentence(run.path):
    write(run)
