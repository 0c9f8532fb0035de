"""Reads the sections of a configuration whose schema an installed executor declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model, model_validator
from pydantic_core import PydanticCustomError

from snakeval import plugins
from snakeval.config.types import Strict, unknown_key
from snakeval.errors import ConfigError

#: The methods of :class:`snakeval.executors.base.Executor` that return a schema.
Declared = Literal["options", "deployment_options"]


class Extensible(Strict):
    """A strict model that also accepts a section for each installed executor, by its name.

    Attributes:
        installed: the sections of executors that are not built in, by name.
    """

    model_config = ConfigDict(extra="allow")

    @classmethod
    def declared(cls) -> Declared:
        """Return the method by which executors declare the schema of the section."""
        return "options"

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        return {k: v if k in cls.model_fields else cls._section(k, v) for k, v in data.items()}

    @property
    def installed(self) -> Mapping[str, BaseModel]:
        """The sections of executors that are not built in, by name."""
        return self.model_extra or {}

    @classmethod
    def _section(cls, name: object, values: object) -> BaseModel:
        """Check a section of an installed executor with its schema, and return the section."""
        schema = _schema(name, cls.declared()) if _is_installed(name) else None
        if schema is None:
            raise unknown_key(name, [*cls.model_fields, *_names(cls.declared())])
        # A model with the section as its field also puts the section's name into errors.
        make: Any = create_model  # the overloads do not accept computed names of fields
        section = make("Section", **{str(name): (schema, ...)})
        checked: BaseModel = getattr(section.model_validate({name: values}), str(name))
        return checked


def _is_installed(name: object) -> bool:
    return name in plugins.installed(plugins.EXECUTORS)


def _schema(name: object, declared: Declared) -> type[BaseModel] | None:
    try:
        executor = plugins.load(plugins.EXECUTORS, str(name))()
    except ConfigError as error:
        (problem,) = error.problems
        why = {"why": f"{problem.where}: {problem.problem}", "hint": problem.hint}
        raise PydanticCustomError("unusable", "{why}", why) from None
    schema: type[BaseModel] | None = getattr(executor, declared)()
    return schema


def _names(declared: Declared) -> list[str]:
    """Return the installed executors that declare such a section; for the hint of an error."""
    found = []
    for name in plugins.installed(plugins.EXECUTORS):
        try:
            schema = _schema(name, declared)
        except PydanticCustomError:
            continue  # a broken package that this configuration does not use
        if schema is not None:
            found.append(name)
    return found
