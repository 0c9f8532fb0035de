"""Bridge of the rule `report` to the package."""

from pathlib import Path

from snakeval.report import write

write(Path(snakemake.output.page).parent)
