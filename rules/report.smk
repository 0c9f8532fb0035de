# <run>/*/*/evaluation.json -> <run>/report.html, and its samples in <run>/report/


rule report:
    """Make the page that people look at. Nothing waits for it."""
    input:
        records=matrix.records,
    output:
        page=report(
            "<run>/report.html",
            caption="captions/report.rst",
            category="Results",
            labels={"table": "report"},
        ),
    log:
        "<run>/.snakeval/report.log",
    localrule: True
    conda:
        "envs/snakeval.yaml"
    params:
        plan=matrix.plan,
        parsers=matrix.parsers,
    script:
        "../scripts/report.py"
