"""Bridge of the rule `table` to the package."""

from pathlib import Path

from snakeval.results.table import write

csv, json, markdown = (Path(path) for path in snakemake.output)
write(csv.parent, csv, json, markdown)
