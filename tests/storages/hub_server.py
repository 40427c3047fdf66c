"""A Hugging Face Hub on this machine: the addresses that the real client asks for."""

import hashlib
import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from tests.storages.hub_state import Hub, Repository

LFS = (".safetensors", ".pt", ".bin")
SIGNATURE = "signature-5d1e"
CHUNK = 10_000


class HubHandler(BaseHTTPRequestHandler):
    """Answers for the hub and for its server of large files."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        """Any of the addresses."""
        path = unquote(urlsplit(self.path).path)
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        token = token if kind == "Bearer" else ""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.asked.append((self.path, headers))
        parts = path.strip("/").split("/")
        if parts[0] == "lfs":
            self._content("/".join(parts[4:]), self._commit(parts[1:4])["/".join(parts[4:])])
        elif parts[0] == "portal":
            self._answer(200, {"Content-Type": "text/html"}, b"<p>Please log in</p>")
        elif token and token not in self.hub.tokens:
            self._refuse(401, "", f"Invalid credentials in Authorization header: {token}")
        elif parts[:2] == ["api", "models"]:
            self._info("/".join(parts[2:4]), "/".join(parts[5:]) or "main", token)
        elif parts[:2] == ["api", "resolve-cache"]:
            self._content("/".join(parts[5:]), self._commit(parts[2:5])["/".join(parts[5:])])
        else:
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]), token)

    def _commit(self, parts: list[str]) -> dict[str, bytes]:
        return self.hub.repositories["/".join(parts[:2])].commits[parts[2]]

    def _found(self, name: str, revision: str, token: str) -> tuple[Repository, str] | None:
        repository = self.hub.repositories.get(name)
        hidden = repository and repository.access == "private" and token not in repository.readers
        if repository is None or hidden:
            if token:
                self._refuse(404, "RepoNotFound", "Repository not found")
            else:
                self._refuse(401, "", "Invalid username or password.")
            return None
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, sha

    def _info(self, name: str, revision: str, token: str) -> None:
        found = self._found(name, revision, token)
        if found:
            siblings: list[dict[str, object]] = [
                {"rfilename": file, **({"size": len(content)} if "blobs=" in self.path else {})}
                for file, content in found[0].commits[found[1]].items()
            ]
            body = json.dumps({"id": name, "sha": found[1], "siblings": siblings}).encode()
            self._answer(200, {"Content-Type": "application/json"}, body)

    def _resolve(self, name: str, revision: str, file: str, token: str) -> None:
        found = self._found(name, revision, token)
        if found is None:
            return
        repository, sha = found
        content = repository.commits[sha].get(file)
        if repository.access == "gated" and token not in repository.readers:
            if token:
                self._refuse(403, "GatedRepo", "you are not in the authorized list")
            else:
                self._refuse(401, "GatedRepo", "Access is restricted. Please log in.")
        elif content is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif file.endswith(LFS):
            digest = hashlib.sha256(content).hexdigest()
            signed = f"{self.hub.storage_url}/lfs/{name}/{sha}/{file}?Signature={SIGNATURE}"
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self._answer(302, {"Location": signed, "X-Repo-Commit": sha, **linked})
        else:
            near = f"/api/resolve-cache/{name}/{sha}/{file}"
            self._answer(307, {"Location": near, "X-Repo-Commit": sha})

    def _content(self, name: str, content: bytes) -> None:
        faults = self.hub.faults.get(name)
        fault = faults.pop(0) if faults else None
        if fault and fault.status:
            self._answer(fault.status, {}, f"{SIGNATURE} is not valid".encode())
            return
        start, status, headers = 0, 200, {"ETag": f'"{hashlib.md5(content).hexdigest()}"'}  # noqa: S324
        if "Range" in self.headers and self.hub.knows_ranges:
            start, status = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")), 206
            if start >= len(content):
                self._answer(416, {})
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if self.hub.tells_lengths:
            headers["Content-Length"] = str(len(body))
        else:
            self.close_connection = True
        self._head(status, headers)
        self._send(name, body[: fault.after] if fault else body)
        if fault:
            if fault.until:
                fault.until.wait(30)
            if fault.ends:
                self.close_connection = True
            else:
                self._send(name, body[fault.after :])

    def _send(self, name: str, content: bytes) -> None:
        for begin in range(0, len(content), CHUNK):
            chunk = content[begin : begin + CHUNK]
            # Before it is sent: whoever has it may ask at once how much it was.
            self.hub.served[name] += len(chunk)
            self.wfile.write(chunk)

    def _refuse(self, status: int, code: str, message: str) -> None:
        code_header = {"X-Error-Code": code} if code else {}
        self._answer(status, {**code_header, "X-Error-Message": message})

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output clean."""
