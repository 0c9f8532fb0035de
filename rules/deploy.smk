# deployment -> <run>/{model}/deployment/deployment.json


rule deploy:
    """Start a model's server, once for all its evaluations; the last of them ends it."""
    output:
        record="<run>/{model}/deployment/deployment.json",
    log:
        "<run>/{model}/deployment/deploy.log",
    priority: matrix.deploy_priority
    group:
        matrix.allocation
    conda:
        "envs/snakeval.yaml"
    resources:
        gpu=matrix.gpus,
    shell:
        "python -m snakeval.deploy {output.record:q}" " --log {log:q} --head $PPID"
