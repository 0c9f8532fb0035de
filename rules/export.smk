# <run>/results.json -> <run>/export/delivered.json, and wherever `export:` says


rule export:
    """Send the results to the destinations of the configuration. Never fails: it leaves a note."""
    input:
        matrix.undelivered,
        table=rules.table.output.json,
        report=rules.report.output,
    output:
        note="<run>/export/delivered.json",
    log:
        "<run>/.snakeval/export.log",
    localrule: True
    conda:
        "envs/export.yaml"
    params:
        destinations=matrix.destinations,
    shell:
        "python -m snakeval.exporters {output.note:q} > {log:q} 2>&1"
