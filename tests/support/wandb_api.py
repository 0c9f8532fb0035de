"""A stand-in of W&B's API, as far as the library's core asks it when a run is logged.

Its runs, files and artifacts are in memory, under the keys that the real one has: a run by its
project and id, a version of an artifact by its digest. An operation that it does not know, and a
key that is not the one, are refused.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.servers import JsonHandler, answering

KEY = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Run:
    """A run as the web page would show it."""

    upserts: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    exit_code: int | None = None

    def last(self, name: str) -> Any:
        """What was said last of one of its properties."""
        return next((u[name] for u in reversed(self.upserts) if u.get(name) is not None), None)


class Wandb:
    """What has arrived. ``fail`` is a status for every request from now on; 0 fails none."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], Run] = {}
        self.artifacts: dict[str, dict[str, str]] = {}
        self.names: dict[str, dict[str, Any]] = {}
        self.uploads: dict[str, bytes] = {}
        self.operations: list[str] = []
        self.fail = 0
        self.url = ""

    def answer(self, query: str, given: dict[str, Any]) -> Any:
        operation = query.split("(")[0].split("{")[0].split()[-1]
        self.operations.append(operation)
        return getattr(self, f"_{operation}")(given)

    def _Viewer(self, given: dict[str, Any]) -> Any:
        teams: dict[str, Any] = {"edges": []}
        return {
            "viewer": {
                "id": "v", "entity": "me", "username": "me", "email": "", "flags": "{}",
                "teams": teams,
            }
        }  # fmt: skip

    def _RunResumeStatus(self, given: dict[str, Any]) -> Any:
        run = self.runs.get((given["project"], given["name"]))
        if run is None:
            return {"model": None}
        bucket = {
            "id": given["name"], "name": given["name"], "displayName": run.last("displayName"),
            "summaryMetrics": json.dumps(run.summary), "config": run.last("config"),
            "tags": run.last("tags") or [], "notes": "", "logLineCount": 0,
            "historyLineCount": len(run.history), "eventsLineCount": 0,
            "historyTail": json.dumps(run.history[-1:]), "eventsTail": "[]", "wandbConfig": "{}",
        }  # fmt: skip
        return {"model": {**self._project(given["project"]), "bucket": bucket}}

    @staticmethod
    def _project(name: str) -> dict[str, Any]:
        return {"id": "p", "name": name, "entity": {"id": "e", "name": "me"}}

    def _UpsertBucket(self, given: dict[str, Any]) -> Any:
        key = given["project"], given["name"]
        inserted = key not in self.runs
        run = self.runs.setdefault(key, Run())
        run.upserts.append(given)
        bucket = {
            "id": given["name"], "name": given["name"], "displayName": run.last("displayName"),
            "description": None, "config": run.last("config"), "sweepName": None,
            "project": self._project(given["project"]), "historyLineCount": len(run.history),
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _ServerFeaturesQuery(self, given: dict[str, Any]) -> Any:
        return {"serverInfo": {"features": []}}

    def _ArtifactType(self, given: dict[str, Any]) -> Any:
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, given: dict[str, Any]) -> Any:
        asked = given["input"]
        versions = self.artifacts.setdefault(asked["artifactCollectionName"], {})
        state = "COMMITTED" if asked["digest"] in versions else "PENDING"
        latest = {"id": [*versions.values()][-1]} if versions else None
        name = versions.setdefault(asked["digest"], f"artifact-{asked['digest']}")
        self.names[name] = asked
        artifact = {"id": name, "state": state, "artifactSequence": {"latestArtifact": latest}}
        return {"createArtifact": {"artifact": artifact}}

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> Any:
        url = f"{self.url}/artifact/{given['artifactID']}/{given['name']}"
        file = {"id": "f", "uploadUrl": url, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _UpdateArtifactManifest(self, given: dict[str, Any]) -> Any:
        url = f"{self.url}/artifact/manifest"
        file = {"id": "f", "uploadUrl": url, "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> Any:
        edges = []
        for file in given["input"]["artifactFiles"]:
            path = f"{file['artifactID']}/{file['name']}"
            edges.append(
                {
                    "node": {
                        "storagePath": path,
                        "uploadUrl": f"{self.url}/artifact/{path}",
                        "uploadHeaders": [],
                        "uploadMultipartUrls": None,
                        "artifact": {"id": file["artifactID"]},
                    }
                }
            )
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, given: dict[str, Any]) -> Any:
        digest = self.names[given["artifactID"]]["digest"]
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": digest}}}

    def _ArtifactByID(self, given: dict[str, Any]) -> Any:
        asked = self.names[given["id"]]
        project = {
            "id": "p",
            "internalId": "1",
            "name": asked["projectName"],
            "entity": {"name": "me"},
        }
        sequence = {
            "__typename": "ArtifactSequence",
            "name": asked["artifactCollectionName"],
            "project": project,
        }
        return {
            "artifact": {
                "__typename": "Artifact", "id": given["id"], "artifactSequence": sequence,
                "versionIndex": 0, "artifactType": {"name": asked["artifactTypeName"]},
                "description": None, "metadata": "{}", "ttlDurationSeconds": 0,
                "ttlIsInherited": False, "tags": [], "historyStep": None, "state": "COMMITTED",
                "size": 1, "digest": asked["digest"], "commitHash": "x", "fileCount": 1,
                "createdAt": "2026-01-02T03:04:05", "updatedAt": None, "aliases": [],
            }
        }  # fmt: skip

    def _CreateRunFiles(self, given: dict[str, Any]) -> Any:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/put/{given['project']}/{given['run']}/{name}"}
            for name in given["files"]
        ]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def stream(self, project: str, name: str, said: dict[str, Any]) -> None:
        """Take what a run streams: lines of its files, and its end."""
        run = self.runs[project, name]
        for file, chunk in (said.get("files") or {}).items():
            if file == "wandb-summary.json":
                run.summary = json.loads(chunk["content"][-1])
            elif file == "wandb-history.jsonl":
                run.history[chunk["offset"] :] = chunk["content"]
        if said.get("complete"):
            run.exit_code = said.get("exitcode")


class _Handler(JsonHandler):
    wandb: Wandb

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        status, said = self._said(body)
        self.reply(status, said)

    def _said(self, body: bytes) -> tuple[int, Any]:
        if self.wandb.fail:
            return self.wandb.fail, {"errors": [{"message": "told to fail"}]}
        parts = self.path.strip("/").split("/")
        if parts[0] == "put":
            project, run = parts[1:3]
            self.wandb.runs[project, run].files["/".join(parts[3:])] = body
            return 200, {}
        if parts[0] == "artifact":
            self.wandb.uploads["/".join(parts[1:])] = body
            return 200, {}
        if parts[0] == "sdk":
            return 200, {}
        key = "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()
        if self.headers.get("Authorization") != key:
            return 401, {"errors": [{"message": "invalid API key"}]}
        if parts[-1] == "file_stream":
            self.wandb.stream(parts[-3], parts[-2], json.loads(body))
            return 200, {}
        data = json.loads(body)
        try:
            return 200, {"data": self.wandb.answer(data["query"], data.get("variables") or {})}
        except (AttributeError, KeyError) as error:
            return 400, {"errors": [{"message": f"{type(error).__name__}: {error}"}]}


@contextmanager
def serve() -> Iterator[Wandb]:
    """Serve an account without a run."""
    wandb = Wandb()
    with answering(_Handler, wandb=wandb) as wandb.url:
        yield wandb
