# <run>/results.csv -> <run>/report.html, and its samples in <run>/report/


rule report:
    """Write the report page. No other rule waits for it."""
    input:
        # A new table requires a new report.
        table=rules.table.output.csv,
    output:
        page="<run>/report.html",
        # For `snakemake --report`: browsers do not embed a page of several megabytes.
        summary=report(
            "<run>/report/summary.html",
            caption="captions/report.rst",
            category="Results",
            labels={"file": "summary"},
        ),
    log:
        "<run>/.snakeval/report.log",
    localrule: True
    conda:
        "envs/snakeval.yaml"
    script:
        "../scripts/report.py"
