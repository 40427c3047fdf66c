"""Answers that were given before, for texts that come again."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """The values of the texts that were asked for last.

    Args:
        most: texts that are remembered, 0 for none; each takes some 300 bytes, however long it is.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def recall(self, texts: Sequence[str]) -> Value | None:
        """What was noted for a text, or a pair of texts."""
        if not self._most:
            return None
        key = _key(texts)
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def note(self, texts: Sequence[str], value: Value) -> None:
        """Remember, and forget what was not asked for the longest."""
        if not self._most:
            return
        key = _key(texts)
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)


def _key(texts: Sequence[str]) -> bytes:
    # Lengths tell ("ab", "c") from ("a", "bc"); nobody finds two texts of one such digest.
    digest = hashlib.blake2b(digest_size=32)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()
