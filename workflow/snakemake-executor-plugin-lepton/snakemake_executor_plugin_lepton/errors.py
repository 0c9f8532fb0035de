"""Defines the plugin's errors, each with a sentence for the user."""

from __future__ import annotations


class LeptonError(Exception):
    """An error whose text names the problem and the remedy."""


class TaskError(LeptonError):
    """A rule cannot run on Lepton in its present form."""


class TransportError(LeptonError):
    """The transport cannot send files or bring them back.

    ``passes``: whether another try can help.
    """

    def __init__(self, message: str, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes


class ServiceError(LeptonError):
    """The service rejected a request, or did not answer.

    ``status`` is the HTTP status, or 0 without an answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def denied(self) -> bool:
        """Whether the token is wrong, or no longer valid for this."""
        return self.status in (401, 403)
