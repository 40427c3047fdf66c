"""What wandb's SDK asks of a W&B server to read artifacts, answered by a server in a thread.

The answers are made after the SDK's own queries and models (wandb 0.31), not after a real server.
"""

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.storages.in_thread import serving

PROJECT = {"id": "p1", "internalId": "1", "name": "project", "entity": {"name": "entity"}}
COLLECTION = {"__typename": "ArtifactSequence", "name": "bert", "project": PROJECT}


@dataclass
class Wandb:
    """A server with versions of entity/project/bert.

    Attributes:
        key: the API key that it knows.
        versions: files of each, the last of which is "latest".
        references: files that lie elsewhere, and where.
        project: what its artifacts' names begin with.
        address: where it listens.
    """

    key: str
    versions: list[Mapping[str, bytes]]
    references: dict[str, str] = field(default_factory=dict)
    project: str = "entity/project"
    address: str = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve on a free port."""

        class Handler(_Handler):
            wandb = self

        with serving(Handler) as port:
            self.address = f"http://127.0.0.1:{port}"
            yield

    def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data that answers a query."""
        if "ArtifactMembershipByName" in query:
            membership = None
            if variables["project"] == "project":
                membership = self.membership(str(variables["name"]))
            return {"project": {"artifactCollectionMembership": membership}}
        if "FetchArtifactManifest" in query:
            url = f"{self.address}/manifest/{variables['id']}"
            return {"artifact": {"currentManifest": {"file": {"directUrl": url}}}}
        if "serverInfo" in query:
            return {"serverInfo": {"features": []}}
        viewer = {"id": "u", "entity": "entity", "username": "me", "email": "", "flags": "{}"}
        return {"viewer": {**viewer, "teams": {"edges": []}}}

    def membership(self, name: str) -> dict[str, Any] | None:
        """What a name like bert:v0 is."""
        model, _, alias = name.partition(":")
        last = len(self.versions) - 1
        version = last if alias == "latest" else int(alias.removeprefix("v"))
        if model != "bert" or version > last:
            return None
        content = sorted(self.versions[version].items())
        artifact = {
            "__typename": "Artifact",
            "id": str(version),
            "artifactSequence": COLLECTION,
            "versionIndex": version,
            "artifactType": {"name": "model"},
            "description": None,
            "metadata": "{}",
            "ttlDurationSeconds": -2,
            "ttlIsInherited": False,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": sum(len(data) for _, data in content),
            "digest": hashlib.md5(repr(content).encode(), usedforsecurity=False).hexdigest(),
            "commitHash": "c",
            "fileCount": len(content),
            "createdAt": "2024-03-01T10:00:00Z",
            "updatedAt": "2024-03-01T10:00:00Z",
            "aliases": [],
        }
        about = {"id": "m", "versionIndex": version, "createdAt": "2024-03-01T10:00:00Z"}
        owner = {"aliases": [], "artifactCollection": COLLECTION, "artifact": artifact}
        return {"__typename": "ArtifactCollectionMembership", **about, **owner}

    def manifest(self, version: int) -> dict[str, Any]:
        """The manifest of a version."""
        contents: dict[str, Any] = {
            name: {"digest": base64.b64encode(_md5(data)).decode(), "size": len(data)}
            for name, data in self.versions[version].items()
        }
        for name, address in self.references.items():
            contents[name] = {"digest": "x", "ref": address, "size": 1}
        policy = {"storagePolicy": "wandb-storage-policy-v1"}
        layout = {"storagePolicyConfig": {"storageLayout": "V2"}}
        return {"version": 1, **policy, **layout, "contents": contents}


class _Handler(BaseHTTPRequestHandler):
    wandb: Wandb

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"] or 0))
        known = base64.b64encode(f"api:{self.wandb.key}".encode()).decode()
        if self.path != "/graphql":
            self.answer(b"{}")
        elif self.headers["Authorization"] != f"Basic {known}":
            self.send_error(401)
        else:
            request = json.loads(asked)
            data = self.wandb.graphql(request["query"], request.get("variables") or {})
            self.answer(json.dumps({"data": data}).encode())

    def do_GET(self) -> None:
        if manifest := re.fullmatch(r"/manifest/(\d+)", self.path):
            self.answer(json.dumps(self.wandb.manifest(int(manifest[1]))).encode())
            return
        for version in self.wandb.versions:
            for data in version.values():
                if _md5(data).hex() in self.path:
                    self.answer(data)
                    return
        self.send_error(404)

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
