"""Translates the launcher's ``execution.auto_export`` and ``export`` into snakeval's ``export``.

The launcher exports to ``auto_export.destinations``. Options of each destination are in
``auto_export.configs`` or in ``export``. Snakeval exports to every destination that ``export``
lists, so a destination with options is enough. Keys that are not options of the launcher pass
unchanged as snakeval's options.
https://docs.nvidia.com/nemo/evaluator/latest/libraries/nemo-evaluator-launcher/exporters/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from snakeval.config.nemo_launcher.draft import Draft, says
from snakeval.config.source import Key

#: Writes a value that is not empty into snakeval's options; or the message of the error.
Handler = Callable[[Draft, dict[str, Any], Any, Key], None] | str

#: The artifacts that the launcher requires of a job. Harnesses outside NVIDIA's images write only
#: the first.
_REQUIRED = ("results*", "eval_factory_metrics.json", "run_config.yml")


def _log_mode(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    per = {"per_task": "evaluation", "multi_task": "run"}.get(str(value))
    if per is None:
        draft.refuse(key, f"must be per_task or multi_task, not {value!r:.60}")
    else:
        options["per"] = per


def _metadata(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    for name, text in draft.mapping(value, key).items():
        options["tags"][name] = str(text)


def _tags(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    if isinstance(value, list):
        value = dict.fromkeys(map(str, value), "")
    _metadata(draft, options, value, key)


def _metrics(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    names = value if isinstance(value, list) else [value]
    # The launcher matches any part of a metric's name.
    options["metrics"] = [f"*{name}*" for name in names]


def _format(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    options["formats"] = [value]


def _nothing(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    """Accept an option that describes what snakeval always does."""


def _only_false(sentence: str) -> Handler:
    def refuse(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
        if value:
            draft.refuse(key, sentence)

    return refuse


_CREDENTIALS = "is not supported; export GOOGLE_APPLICATION_CREDENTIALS with the file's path"
_COMMON: dict[str, Handler] = {
    "log_metrics": _metrics,
    "copy_logs": _nothing,  # _artifacts reads these five
    "log_logs": _nothing,
    "copy_artifacts": _nothing,
    "log_artifacts": _nothing,
    "only_required": _nothing,
    "job_dirs": "is not supported; `snakeval export` takes runs by id or directory",
}
_SERVICE: dict[str, Handler] = _COMMON | {"tags": _tags, "extra_metadata": _metadata}
#: The handler of each option of the launcher, by destination.
_OPTIONS: dict[str, dict[str, Handler]] = {
    "local": _COMMON
    | {
        "format": _format,
        "output_filename": "is not supported; remove it, and read results.json or results.csv",
    },
    "wandb": _SERVICE
    | {
        "log_mode": _log_mode,
        "run_id": "is not supported, since snakeval chooses the id of a W&B run; remove it",
    },
    "mlflow": _SERVICE
    | {
        "log_config_params": _nothing,
        "log_config_params_max_depth": _nothing,
        "skip_existing": _only_false(
            "is not supported, since an export updates existing results; remove it"
        ),
        "exclude_patterns": "is not supported; write `artifacts`, the patterns of files to send",
    },
    "gsheets": _COMMON
    | {
        "log_mode": _nothing,  # a row is always a metric of the run
        "service_account_file": _CREDENTIALS,
        "oauth_file": _CREDENTIALS,
    },
}
#: The launcher's destinations without an exporter, here and in the launcher 0.2.6.
NO_EXPORTER = {
    "s3": "write `aws s3 sync RUN s3://BUCKET/`, with the run's directory",
    "jet": "copy the run's directory",
}
_JOB = "is not supported, since the machine that runs `snakeval` sends the results; remove it"


def read(draft: Draft, auto_export: Mapping[str, Any]) -> None:
    """Write snakeval's ``export``, and record errors in *draft*."""
    key = ("execution", "auto_export")
    known = {"destinations", "configs", "launcher_install_cmd", "export_image", "export_mounts"}
    draft.only(key, auto_export, known)
    for name in ("launcher_install_cmd", "export_image", "export_mounts"):
        if says(auto_export.get(name)):
            draft.refuse((*key, name), _JOB)
    wanted = auto_export.get("destinations") or []
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        draft.refuse((*key, "destinations"), "must be a list of names, such as [wandb]")
        return
    configs = draft.mapping(auto_export.get("configs"), (*key, "configs"))
    export = draft.section("export")
    draft.data.pop("export", None)
    for name in dict.fromkeys([*wanted, *configs, *export]):
        if name in NO_EXPORTER:
            said = ("export", name) if name in export else (*key, "destinations")
            draft.note(said, f"nothing goes to {name}; after the run, {NO_EXPORTER[name]}")
            continue
        options: dict[str, Any] = {"tags": {}}
        merged: dict[str, Any] = {}
        for above, section in ((("export",), export), ((*key, "configs"), configs)):
            given = draft.mapping(section.get(name), (*above, name))
            merged |= given
            for option, value in given.items():
                _take(draft, name, options, option, value, (*above, name, option))
        if "spreadsheet_id" in options:  # the launcher also prefers it to the name
            options.pop("spreadsheet_name", None)
        _artifacts(name, merged, options)
        if not options["tags"]:
            del options["tags"]
        said = ("export", name) if name in export else (*key, "destinations")
        draft.put(("export", name), options, said)


def _take(
    draft: Draft, name: str, options: dict[str, Any], option: str, value: Any, key: Key
) -> None:
    if not says(value):
        return
    handler = _OPTIONS.get(name, {}).get(option)
    if handler is None:
        options[option] = value
    elif isinstance(handler, str):
        draft.refuse(key, handler)
    else:
        handler(draft, options, value, key)


def _artifacts(name: str, given: Mapping[str, Any], options: dict[str, Any]) -> None:
    """Set ``artifacts`` to the launcher's defaults; snakeval itself sends no files by default."""
    if name not in ("local", "wandb", "mlflow") or "artifacts" in options:
        return
    patterns: list[str] = []
    if given.get("copy_artifacts", given.get("log_artifacts", True)):
        patterns += _REQUIRED if given.get("only_required", True) else ["artifacts/*"]
    if given.get("copy_logs", given.get("log_logs", False)):
        patterns.append("logs/*")
    options["artifacts"] = patterns
