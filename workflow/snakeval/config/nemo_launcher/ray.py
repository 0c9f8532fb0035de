"""Commands of vLLM on several nodes, and the launcher's variables in commands of its users."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: The launcher's variables of a server's part -> what snakeval calls them, on one node and several.
_VARIABLES = {
    "MASTER_IP": ("127.0.0.1", "$SNAKEVAL_HEAD_ADDRESS"),
    "ALL_NODE_IPS": ("127.0.0.1", "$SNAKEVAL_NODE_ADDRESSES"),
    "PROC_ID": ("0", "$SNAKEVAL_NODE_RANK"),
    "SLURM_PROCID": ("0", "$SNAKEVAL_NODE_RANK"),
    "NODES_PER_INSTANCE": ("1", "$SNAKEVAL_NODES"),
}
#: vLLM's options in both commands below. The user's arguments come last, as "$@".
_OPTIONS = " ".join(
    (
        "--served-model-name {{ served_model_name }}",
        "--tensor-parallel-size {{ tensor_parallel_size }}",
        "--pipeline-parallel-size {{ pipeline_parallel_size }}",
        "--data-parallel-size {{ data_parallel_size }}",
        "{%- if revision %} --revision {{ revision }}{% endif %}",
    )
)
#: The head serves; the other nodes join its Ray.
_ON_RAY = """\
serve() {
head={{ head }}:$SNAKEVAL_HEAD_PORT
export VLLM_HOST_IP="$SNAKEVAL_NODE_ADDRESS"
if [ "$SNAKEVAL_NODE_RANK" -gt 0 ]; then
  until ray health-check --address=$head; do sleep 5; done
  exec ray start --block --address=$head --num-gpus={{ gpus_per_node }}
fi
ray start --head --port=$SNAKEVAL_HEAD_PORT --num-gpus={{ gpus_per_node }} || return
until [ "$(ray status | grep -c node_)" -ge {{ nodes }} ]; do sleep 5; done
exec vllm serve {{ model }} OPTIONS --host {{ host }} --port {{ port }} "$@"
}
serve""".replace("OPTIONS", _OPTIONS)
#: Each node has its replicas of the model; the head spreads the requests.
_DATA_PARALLEL = """\
serve() {
if [ "$SNAKEVAL_NODE_RANK" -gt 0 ]; then
  set -- --headless --data-parallel-start-rank $((SNAKEVAL_NODE_RANK * LOCAL)) "$@"
else
  set -- --host {{ host }} --port {{ port }} "$@"
fi
set -- --data-parallel-size-local LOCAL --data-parallel-address {{ head }} "$@"
exec vllm serve {{ model }} OPTIONS --data-parallel-rpc-port $SNAKEVAL_HEAD_PORT "$@"
}
serve""".replace("OPTIONS", _OPTIONS)


def on_several_nodes(section: Mapping[str, Any], nodes: int, *, use_ray: bool) -> str:
    """Return the command of vLLM on *nodes*, as a template, without the user's arguments.

    Without *use_ray*, replicas that divide among the nodes need no Ray.
    """
    replicas = section.get("data_parallel_size") or 1
    if use_ray or not isinstance(replicas, int) or replicas % nodes:
        return _ON_RAY
    return _DATA_PARALLEL.replace("LOCAL", str(replicas // nodes))


def with_launchers_variables(command: str, nodes: int) -> str:
    """Return a user's *command* with the launcher's variables that it names.

    A text such as ``${#LIST[@]}`` is no comment of a template.
    """
    if "{#" in command and "{{" not in command and "{%" not in command:
        command = f"{{% raw %}}{command}{{% endraw %}}"
    named = [name for name in _VARIABLES if re.search(rf"\b{name}\b", command)]
    if not named:
        return command
    exports = " ".join(f'{name}="{_VARIABLES[name][nodes > 1]}"' for name in named)
    return f"export {exports}\n{command}"
