"""The deployment kind ``parrot``: what a server needs where the configuration says nothing.

``command`` is a jinja2 template; ``snakeval/catalogue/deployments.yaml`` lists what it may name.
The facts below are checked with the configuration: this server has no GPU and no parallelism.
"""

from snakeval.catalogue import ServerKind

PARROT = ServerKind(
    command=(
        "python3 -m snakeval_example.parrot --host {{ host }} --port {{ port }}"
        " --name {{ served_model_name }}"
    ),
    health="/health",
    needs_gpus=False,
    has_sizes=False,
    has_data_parallel=False,
)
