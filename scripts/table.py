"""Bridge of the rule `table` to the package."""

from pathlib import Path

from snakeval.results.table import write
from snakeval.run.directory import RunDirectory

write(RunDirectory(Path(snakemake.output.csv).parent))
