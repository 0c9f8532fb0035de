# <run>/*/*/evaluation.json -> <run>/results.csv, .json, .md


rule table:
    """Build the results table from the completion records."""
    input:
        records=matrix.reruns.records,
    output:
        csv=report(
            "<run>/results.csv",
            caption="captions/results.rst",
            category="Results",
            labels={"file": "table"},
        ),
        json="<run>/results.json",
        markdown="<run>/results.md",
    log:
        "<run>/.snakeval/table.log",
    localrule: True
    conda:
        "envs/snakeval.yaml"
    params:
        plan=matrix.invocation.plan,
        parsers=matrix.invocation.parsers,
    script:
        "../scripts/table.py"
