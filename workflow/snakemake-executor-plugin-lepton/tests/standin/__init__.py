"""A stand-in for DGX Cloud Lepton: its HTTP interface, with jobs and endpoints that really run.

It keeps to what the SDK ``leptonai`` 0.47 sends and expects, both families of endpoint routes
among it (``/deployments`` and ``/endpoints``). Jobs and replicas are containers of the local Docker
engine, or processes where there is none. What nobody has published about the service is a guess,
and marked as such where it is made. Only Python's standard library is used.

In a test: ``with StandIn() as lepton: …``. On its own: ``python -m standin --help``.
"""

from standin.asked import status
from standin.faults import Fault
from standin.server import StandIn

__all__ = ["Fault", "StandIn", "status"]
