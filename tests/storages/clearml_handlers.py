"""ClearML's API server and file server, as far as the SDK asks them for a model."""

import base64
import json
import re
import time
from typing import Any
from zlib import crc32

import jwt

from tests.storages.clearml_server import ACCESS_KEY, Handler


class Api(Handler):
    """The API; `asked` has no versions of it, since they are the SDK's to choose."""

    def answer(self) -> None:
        """The SDK puts JSON into GET requests."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = re.sub(r"^/v[0-9.]+|\?.*$", "", self.path)
        self.answers.asked.append(f"{self.command} {action}")
        if self.answers.busy:
            self.reply(503, {})
        elif action == "/debug.ping":
            self.say(200, "OK", {"msg": "ping"})
        elif action == "/auth.login":
            self.login()
        elif self.headers["Authorization"] != f"Bearer {self.answers.token}":
            self.say(401, "Unauthorized (expired token)")
        elif action == "/models.get_by_id":
            self.model(json.loads(body)["model"])
        else:
            self.say(400, f"Unsupported endpoint: {action}")

    def model(self, asked: str) -> None:
        """models.get_by_id."""
        model = self.answers.models.get(asked)
        if model is None:
            self.say(400, f"Invalid model id: id={asked}, company=d1bd92a3b039400cbafc60a7a5b1e52b")
        else:
            self.say(200, "OK", {"model": {"id": asked, **model}})

    def login(self) -> None:
        """auth.login: a token for a key and a secret."""
        right = base64.b64encode(f"{ACCESS_KEY}:{self.answers.secret_key}".encode()).decode()
        if self.headers["Authorization"] != f"Basic {right}":
            self.say(401, "Unauthorized (invalid credentials) (failed to locate credentials)")
            return
        # What the SDK reads off a token. There are as many tokens as there are logins.
        claims = {
            "exp": int(time.time()) + 86_400 + len(self.answers.asked),
            "api_version": "2.31",
            "server_version": "2.1.0",
            "feature_set": "basic",
        }
        token = self.answers.token = jwt.encode(claims, "k" * 32, algorithm="HS256")
        if self.answers.expiring:
            self.answers.expiring -= 1
            self.answers.token = ""
        self.say(200, "OK", {"token": token})

    def say(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        """The envelope of all answers."""
        meta = {
            "id": "0" * 32,
            "trx": "0" * 32,
            "endpoint": {"name": self.path, "requested_version": "2.31", "actual_version": "1.0"},
            "result_code": code,
            "result_subcode": 0,
            "result_msg": message,
        }
        body = json.dumps({"meta": meta, "data": data or {}}).encode()
        self.reply(code, {"Content-Type": "application/json"}, body)


class Files(Handler):
    """The file server: ETag and ranges as Flask's send_from_directory has them."""

    def answer(self) -> None:
        """One file, or the rest of one."""
        answers, token = self.answers, self.headers["Authorization"]
        answers.asked.append(f"{self.command} {self.path}")
        answers.tokens.append(token)
        path = self.path.partition("?")[0]
        content = answers.files.get(path)
        if not path.startswith("/public/") and token != f"Bearer {answers.token}":
            return self.reply(401, {})
        if self.command == "HEAD" and not answers.head:
            return self.reply(405, {})
        if content is None:
            return self.reply(404, {})
        headers = {"ETag": f'"{crc32(content)}"'} if answers.marks else {}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        first = int(asked[1]) if asked and answers.ranges else 0
        if first >= len(content):
            return self.reply(416, {"Content-Range": f"bytes */{len(content)}"})
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(content) - first)
        body = content[first:]
        if self.command == "GET":
            if answers.drop_after:
                body = body[: answers.drop_after.pop(0)]
                self.close_connection = True
            answers.sent.append((first, len(body)))
        return self.reply(206 if first else 200, headers, body)
