"""What can go wrong, each with a sentence for the person at the terminal."""

from __future__ import annotations


class LeptonError(Exception):
    """Its text names what is wrong and what to do."""


class TaskError(LeptonError):
    """A rule cannot run on Lepton as it is."""


class TransportError(LeptonError):
    """Files cannot be sent or brought back."""


class ServiceError(LeptonError):
    """The service refused a request, or did not answer.

    ``status`` is the HTTP status, 0 where there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def denied(self) -> bool:
        """Whether the token is not, or no longer, good for this."""
        return self.status in (401, 403)
