# <run>/results.json -> <run>/export/delivered.json, and the destinations of `export:`


rule export:
    """Send the results to the configured destinations. Never fails; a note keeps the outcome."""
    input:
        matrix.reruns.undelivered,
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
        destinations=matrix.invocation.destinations,
    shell:
        "python -m snakeval.exporters {output.note:q} > {log:q} 2>&1"
