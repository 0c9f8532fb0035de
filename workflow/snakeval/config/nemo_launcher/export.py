"""``execution.auto_export`` and ``export``: where results go.

The launcher exports to ``auto_export.destinations``, with options of ``auto_export.configs`` or of
``export``, by destination. Ours exports to whatever ``export`` names, so options without a
destination are one, too. Keys that are no option of the launcher's are taken for ours.
https://docs.nvidia.com/nemo/evaluator/latest/libraries/nemo-evaluator-launcher/exporters/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from snakeval.config.nemo_launcher.draft import Draft, says
from snakeval.config.source import Key

#: Takes a value that says something into our options; or why it is refused.
Handler = Callable[[Draft, dict[str, Any], Any, Key], None] | str

#: What the launcher requires of a job's artifacts; an upstream harness has the first of them.
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
    options["metrics"] = [f"*{name}*" for name in names]  # the launcher looks for a part of it


def _format(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    options["formats"] = [value]


def _nothing(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
    """Ours does so anyway."""


def _only_false(sentence: str) -> Handler:
    def refuse(draft: Draft, options: dict[str, Any], value: Any, key: Key) -> None:
        if value:
            draft.refuse(key, sentence)

    return refuse


_CREDENTIALS = "is not supported; export GOOGLE_APPLICATION_CREDENTIALS, the path of that file"
_COMMON: dict[str, Handler] = {
    "log_metrics": _metrics,
    "copy_logs": _nothing,  # these five are read by _artifacts
    "log_logs": _nothing,
    "copy_artifacts": _nothing,
    "log_artifacts": _nothing,
    "only_required": _nothing,
    "job_dirs": "is not supported; `snakeval export` takes runs by id or directory",
}
_SERVICE: dict[str, Handler] = _COMMON | {"tags": _tags, "extra_metadata": _metadata}
#: What becomes of each option of the launcher's, by destination.
_OPTIONS: dict[str, dict[str, Handler]] = {
    "local": _COMMON
    | {
        "format": _format,
        "output_filename": "is not supported; the files are called results.json and results.csv",
    },
    "wandb": _SERVICE
    | {
        "log_mode": _log_mode,
        "run_id": "is not supported; a run of W&B has an id of ours, so that it is made once",
    },
    "mlflow": _SERVICE
    | {
        "log_config_params": _nothing,
        "log_config_params_max_depth": _nothing,
        "skip_existing": _only_false("is not supported; what is there is brought up to date"),
        "exclude_patterns": "is not supported; write `artifacts`, patterns of what is sent",
    },
    "gsheets": _COMMON
    | {
        "spreadsheet_name": "is not supported, for names are not unique; write spreadsheet_id",
        "service_account_file": _CREDENTIALS,
        "oauth_file": _CREDENTIALS,
    },
}
_JOB = "is not needed; results are sent by the machine that `snakeval` is started on"


def read(draft: Draft, auto_export: Mapping[str, Any]) -> None:
    """Make our ``export`` of the launcher's; what is wrong is noted in *draft*."""
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
        options: dict[str, Any] = {"tags": {}}
        merged: dict[str, Any] = {}
        for above, section in ((("export",), export), ((*key, "configs"), configs)):
            given = draft.mapping(section.get(name), (*above, name))
            merged |= given
            if "spreadsheet_id" in given:  # which is stronger, to the launcher too
                given.pop("spreadsheet_name", None)
            for option, value in given.items():
                _take(draft, name, options, option, value, (*above, name, option))
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
    """The launcher copies what it requires unless told otherwise; ours only what it is told."""
    if name not in ("local", "wandb", "mlflow") or "artifacts" in options:
        return
    patterns: list[str] = []
    if given.get("copy_artifacts", given.get("log_artifacts", True)):
        patterns += _REQUIRED if given.get("only_required", True) else ["artifacts/*"]
    if given.get("copy_logs", given.get("log_logs", False)):
        patterns.append("logs/*")
    options["artifacts"] = patterns
