"""Reports a missing library in one sentence, with the command that installs it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

#: The versions that pyproject.toml allows.
LEPTONAI = "leptonai>=0.47.1,<0.48"
BOTO3 = "boto3>=1.34"


def cannot_import(user: str, requirement: str, error: ImportError) -> str:
    """Return the sentence for *user*, which cannot import the library of *requirement*."""
    library = requirement.partition(">")[0]
    reason = "which is not installed"
    if not (isinstance(error, ModuleNotFoundError) and error.name == library):
        # The library is there: another version, or it lacks a library of its own.
        reason = f"which cannot be imported ({error})"
    return f"{user} requires {library}, {reason}: {install_command(requirement)}"


def install_command(requirement: str) -> str:
    """Return the command that installs *requirement*.

    The plugin is part of snakeval, whose extra has the library, or a distribution of its own.
    """
    try:
        version("snakeval")
    except PackageNotFoundError:
        return f"pip install '{requirement}'"
    return "pip install 'snakeval[lepton]'"
