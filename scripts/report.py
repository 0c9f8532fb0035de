"""Bridge of the rule `report` to the package."""

from pathlib import Path

from snakeval.results.report import write
from snakeval.run.directory import RunDirectory

write(RunDirectory(Path(snakemake.output.page).parent))
