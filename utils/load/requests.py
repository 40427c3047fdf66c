"""Whole HTTP requests, made before a run so that it only sends bytes."""

import json
from collections.abc import Mapping, Sequence


def post(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def infer_request(
    model: str, columns: Mapping[str, Sequence[str]], outputs: Sequence[str] = ()
) -> bytes:
    """A request of the V2 protocol, as JSON.

    Args:
        model: that is asked.
        columns: by the name of an input its texts, BYTES [n, 1].
        outputs: that are wanted, all for none.
    """
    inputs = [
        {"name": name, "shape": [len(texts), 1], "datatype": "BYTES", "data": list(texts)}
        for name, texts in columns.items()
    ]
    wanted = {"outputs": [{"name": name} for name in outputs]} if outputs else {}
    return post(f"/v2/models/{model}/infer", json.dumps({"inputs": inputs, **wanted}).encode())
