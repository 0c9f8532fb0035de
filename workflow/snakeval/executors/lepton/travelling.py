"""The ledger of an evaluation whose job is on Lepton: the gateway travels with the job.

The job's command runs in ``snakeval.ledger.around``, from an archive that is one of its inputs. The
gateway asks the models with the keys that the container has in any case. An image without Python
asks its models itself, and the log says so.
"""

from __future__ import annotations

import json
import shlex
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any, cast

import snakeval
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import models_of
from snakeval.executors.lepton.journeys import Journey
from snakeval.executors.lepton.runtime import LeptonRuntime
from snakeval.files import replacing, write_if_changed
from snakeval.harnesses.generic import asks_nothing
from snakeval.jobs.container import container
from snakeval.jobs.gateway import Asked, slots, upstreams
from snakeval.ledger.beside import Gateway
from snakeval.run.directory import RunDirectory
from snakeval.runtimes.spec import CONTAINER_RESULTS, ContainerSpec

_ROOT = LeptonRuntime.root
#: The configuration of the gateway in a job, with drafts of the harness's inputs, and its program.
_FOLDER, _PROGRAM = f"{_ROOT}/ledger", f"{_ROOT}/ledger.pyz"
#: Seconds for which requests under way may continue: the platform kills a job after 30.
_GRACE = 15.0
#: How long the gateway waits out HTTP 429 and 503, in seconds.
_PATIENCE = 3600.0
#: Begins the URLs that the harness has until the gateway has a port.
_DRAFT = "http://127.0.0.1:1/gateway"
_HAS_PYTHON = "python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null"
_NEEDS_PYTHON = (
    "snakeval: endpoint.request requires the ledger's gateway, and this image has no Python 3.9"
)
_WITHOUT = (
    "snakeval: this image has no Python 3.9, so the harness asks its models itself, without the "
    "ledger"
)


def through_gateway(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    run: str,
    urls: Mapping[str, str],
    variables: Mapping[str, str],
) -> ContainerSpec | None:
    """Return the harness's container as it asks a gateway, or None if it has no gateway.

    The harness's inputs become drafts for the gateway. The container of a harness that asks its
    models itself must come afterwards, because it writes other inputs.
    """
    if evaluation.transport.ledger == "off" or asks_nothing(evaluation):
        return None
    asked = upstreams(evaluation, urls)
    drafts = {name: _draft(name) + _path(str(asked[name]["url"])) for name in asked}
    gateway = cast("Gateway", None)  # it runs elsewhere
    through = Asked(drafts, slots(evaluation), Event(), {}, {}, gateway)
    spec = container(
        evaluation, directory, LeptonRuntime(), run, urls, asked=through, variables=variables
    )
    shutil.rmtree(_place(directory), ignore_errors=True)
    if directory.inputs.is_dir():
        shutil.copytree(directory.inputs, _place(directory) / "inputs")
    return spec


def wrapped(
    job: Mapping[str, Any],
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    urls: Mapping[str, str],
    through: ContainerSpec,
    direct: ContainerSpec,
    journey: Journey,
) -> dict[str, Any]:
    """Return *job*, whose container is *direct*, with a gateway beside the harness.

    *through* is the container as :func:`through_gateway` has it.
    """
    transport = evaluation.transport
    keys = {evaluation.model: transport.api_key_name, **transport.auxiliary_keys}
    inside = {here: name for name, here in direct.secrets.items() if name not in transport.env}
    asked = upstreams(evaluation, urls)
    for name, options in asked.items():
        # This machine's key stays here; the job's is a secret of the workspace.
        options.pop("key")
        options |= {"key_from": inside.get(keys.get(name) or "", ""), "served": False}
        options["deadline"] = (transport.limits.get(name) or {}).get("patience", _PATIENCE)
    config = {
        "directory": journey.there,
        "mode": transport.ledger if journey.keeps else "memory",
        "grace": _GRACE,
        "says": [journey.says] if journey.says else [],
        "upstreams": asked,
        "urls": {name: _draft(name) for name in asked},
        "tokens": sorted({options["key_from"] for options in asked.values()} - {""}),
        "env": {name: text for name, text in through.env.items() if direct.env.get(name) != text},
        "drafts": f"{_FOLDER}/inputs",
        "files": f"{_ROOT}/snakeval/inputs",
        "results": _ROOT + CONTAINER_RESULTS,
    }
    place = _place(directory)
    place.mkdir(parents=True, exist_ok=True)
    write_if_changed(place / "config.json", json.dumps(config, indent=1, sort_keys=True))
    changes = any(model.get("request") for model in models_of(evaluation).values())
    without = (
        [_NEEDS_PYTHON, "exit 1"] if changes else [_WITHOUT, f"exec {shlex.join(direct.argv)}"]
    )
    program = shlex.join(["python3", _PROGRAM, f"{_FOLDER}/config.json", *through.argv])
    steps = [f"mkdir -p {_ROOT + CONTAINER_RESULTS}", f"cd {shlex.quote(direct.workdir)}"]
    choice = (
        f"if {_HAS_PYTHON}; then exec {program}; "
        f"else echo {shlex.quote(without[0])} >&2; {without[1]}; fi"
    )
    inputs = {str(place.resolve()): _FOLDER, str(_program(directory).resolve()): _PROGRAM}
    return {
        **job,
        "command": " && ".join([*steps, choice]),
        "inputs": {**job["inputs"], **inputs, **journey.inputs},
        "outputs": {**job["outputs"], **journey.outputs},
    }


def _draft(name: str) -> str:
    return f"{_DRAFT}/{name}"


def _path(url: str) -> str:
    from snakeval.ledger.beside import path_of

    return path_of({"url": url})


def _place(directory: EvaluationDirectory) -> Path:
    return directory.private / "ledger"


def _program(directory: EvaluationDirectory) -> Path:
    """Write the archive that runs the gateway in a container, and return its path.

    The same files result in the same archive, since a job counts as the same only with the same
    inputs.
    """
    folder = RunDirectory.of(directory).of_executor("lepton")
    folder.mkdir(parents=True, exist_ok=True)
    path, package = folder / "ledger.pyz", Path(str(snakeval.__file__)).parent
    with replacing(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN)
        for file in (package / "__init__.py", *sorted((package / "ledger").glob("*.py"))):
            _add(archive, str(file.relative_to(package.parent)), file.read_text(encoding="utf-8"))
    return path


_MAIN = """\
import sys

from snakeval.ledger.around import main

sys.exit(main(sys.argv[1:]))
"""


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    # Without the time of the file, and compressed like the others.
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, text)
