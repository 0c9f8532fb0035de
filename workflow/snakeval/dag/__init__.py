"""What the Snakefile calls: the bridge between snakeval and Snakemake."""
