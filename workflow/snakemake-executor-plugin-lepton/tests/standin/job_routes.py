"""The routes of jobs."""

from __future__ import annotations

import time
from typing import Any

from standin.answers import Answer, Refused, one, replica_of
from standin.jobs import Job
from standin.workspace import Workspace


def _list_jobs(ws: Workspace, query: dict[str, list[str]], body: Any) -> Answer:
    labels = dict(term.split("=", 1) for term in one(query, "query").split(",") if "=" in term)
    mode = one(query, "job_query_mode", "alive_only")
    jobs = ws.jobs.select(mode, labels, one(query, "q"), query.get("status", []))
    size = min(int(one(query, "page_size", "500")), ws.page_cap)
    first = (int(one(query, "page", "1")) - 1) * size
    return 200, {"jobs": [job.as_json() for job in jobs[first : first + size]]}


def _make_job(ws: Workspace, query: Any, body: Any) -> Answer:
    if ws.state != "normal":
        raise Refused(403, f"workspace is {ws.state}")
    spec = body.get("spec") or {}
    shape = spec.get("resource_shape")
    if shape not in [s["metadata"]["id"] for s in ws.shapes()]:
        raise Refused(400, f"invalid resource shape {shape!r}")
    groups = (spec.get("affinity") or {}).get("allowed_dedicated_node_groups") or []
    if unknown := [group for group in groups if group not in ws.node_groups]:
        raise Refused(400, f"unknown node group {unknown[0]}")
    if not (spec.get("container") or {}).get("image"):
        raise Refused(400, "container.image is required")
    return 201, ws.jobs.create(body).as_json()


def _job(ws: Workspace, job_id: str, mode: str = "alive_and_archive") -> Job:
    job = ws.jobs.get(job_id, mode)
    if job is None:
        raise Refused(404, f"job {job_id} not found")
    return job


def _get_job(ws: Workspace, query: dict[str, list[str]], body: Any, job_id: str) -> Answer:
    return 200, _job(ws, job_id, one(query, "job_query_mode", "alive_only")).as_json()


def _patch_job(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    job = _job(ws, job_id, "alive_only")
    stopped = (body.get("spec") or {}).get("stopped")
    if stopped is True:
        ws.jobs.stop(job)
    elif stopped is False:
        ws.jobs.restart(job)
    return 200, job.as_json()


def _drop_job(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    ws.jobs.delete(_job(ws, job_id, "alive_only"))
    return 200, {}


def _job_events(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    return 200, _job(ws, job_id).events


def _job_replicas(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    job = _job(ws, job_id)
    return 200, [replica_of(job.replica)] if job.replica else []


def _job_log(ws: Workspace, query: Any, body: Any, job_id: str, replica: str) -> Answer:
    job = _job(ws, job_id)
    deadline = time.monotonic() + 600
    while job.state == "Running" and time.monotonic() < deadline:  # follows
        time.sleep(0.1)
    return 200, "".join(f"{text}\n" for _, text in job.lines())


_ID = r"([^/]+)"
ROUTES = (
    ("GET", r"/jobs", _list_jobs),
    ("POST", r"/jobs", _make_job),
    ("GET", rf"/jobs/{_ID}", _get_job),
    ("PATCH", rf"/jobs/{_ID}", _patch_job),
    ("DELETE", rf"/jobs/{_ID}", _drop_job),
    ("GET", rf"/jobs/{_ID}/events", _job_events),
    ("GET", rf"/jobs/{_ID}/replicas", _job_replicas),
    ("GET", rf"/jobs/{_ID}/replicas/{_ID}/log", _job_log),
)
