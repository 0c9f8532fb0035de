"""The bridge between snakeval and Snakemake: all that the Snakefile and its rules call."""
