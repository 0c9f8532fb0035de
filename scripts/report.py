"""Bridge of the rule `report` to the package."""

from pathlib import Path

from snakeval.results.report import write

write(Path(snakemake.output.page).parent)
