# benchmark × model -> evaluations -> results. The configuration defines what a run measures
# (--configfile, config/config.yaml). The profile defines where it runs (--profile profiles/local).
from snakemake.utils import min_version

from snakeval.dag.open import open_matrix

min_version("9.27")


matrix = open_matrix(workflow)


pathvars:
    run=matrix.run,


wildcard_constraints:
    model=r"[^/]+",
    benchmark=r"[^/]+",
    deployment=matrix.deployment,


include: "rules/deploy.smk"
include: "rules/evaluate.smk"
include: "rules/results.smk"
include: "rules/report.smk"
include: "rules/export.smk"


rule all:
    default_target: True
    input:
        # Missing records are also targets, so they are built even if the table exists.
        missing=matrix.reruns.missing,
        table=rules.table.output,
        report=rules.report.output,
        exports=matrix.invocation.exports,


onstart:
    matrix.save()


onsuccess:
    matrix.end.report()


onerror:
    matrix.end.report()
