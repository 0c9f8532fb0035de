"""Bridge of the rule `table` to the package."""

from pathlib import Path

from snakeval.files import in_one_sentence
from snakeval.results.table import write
from snakeval.run.directory import RunDirectory

run = RunDirectory(Path(snakemake.output.csv).parent)
with in_one_sentence(run.path):
    write(run)
