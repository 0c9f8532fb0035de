# deployment -> <run>/{model}/deployment/deployment.json; other allocations: deployment-2/..., ...


rule deploy:
    """Start a model's server once for all its evaluations. The last evaluation stops it."""
    output:
        record="<run>/{model}/{deployment}/deployment.json",
    log:
        "<run>/{model}/{deployment}/deploy.log",
    priority: matrix.deploy_priority
    group:
        matrix.allocation
    conda:
        "envs/snakeval.yaml"
    resources:
        **matrix.site_of_deployments,
        gpu=matrix.gpus,
        mem_mb=matrix.mem_mb,
        runtime=matrix.runtime,
    shell:
        "python -m snakeval.jobs.deploy {output.record:q} --head $PPID"
