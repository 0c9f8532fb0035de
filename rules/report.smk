# <run>/results.csv -> <run>/report.html, and its samples in <run>/report/


rule report:
    """Make the page that people look at. Nothing waits for it."""
    input:
        # When the table is made anew, so is the report.
        table=rules.table.output.csv,
    output:
        page="<run>/report.html",
        # For `snakemake --report`: browsers show no page of several megabytes within another.
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
