# evaluation -> <run>/<model>/<benchmark>/evaluation.json


rule evaluate:
    """Run one benchmark on one model in a container. The only expensive rule."""
    input:
        matrix.reruns.stale_evaluation,
        # The records of the model's servers; see the rule deploy.
        matrix.servers,
    output:
        record="<run>/{model}/{benchmark}/evaluation.json",
    log:
        "<run>/{model}/{benchmark}/logs/harness.log",
    priority: matrix.priority
    group:
        matrix.allocation
    conda:
        "envs/snakeval.yaml"
    resources:
        **matrix.site,
        gpu=matrix.resource("gpus"),
        mem_mb=matrix.resource("mem_mb"),
        runtime=matrix.resource("runtime"),
    params:
        fingerprint=matrix.fingerprint,
    shell:
        "python -m snakeval.jobs.evaluate {output.record:q}"
        " --fingerprint {params.fingerprint} --head $PPID"
