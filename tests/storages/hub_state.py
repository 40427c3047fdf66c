"""What the hub of the tests holds, does wrong and saw."""

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Repository:
    """A repository.

    Attributes:
        access: public, private, or gated (its list of files is public, its files are not).
        readers: tokens that may read it.
        refs: branches and tags, and their commits.
        commits: and their files.
    """

    access: str = "public"
    readers: set[str] = field(default_factory=set)
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        """Commit files to a branch."""
        text = repr((sorted(files.items()), len(self.commits)))
        sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324
        self.commits[sha] = files
        self.refs[ref] = sha
        return sha


@dataclass
class Fault:
    """What goes wrong with one answer: after so many bytes it waits, if it has something to wait
    for, and then ends or goes on; or it is a bare status."""

    after: int = 0
    until: threading.Event | None = None
    ends: bool = True
    status: int = 0


@dataclass
class Hub:
    """What the servers know, and what they saw.

    Attributes:
        url: of the hub.
        storage_url: of the server that holds large files, another origin.
        tokens: known ones.
        served: bytes of content by name of file.
        asked: path and headers, their names in lower case, of every request.
        faults: of the next answers, by name of file.
        knows_ranges: whether Range is honoured.
        tells_lengths: whether content comes with its length.
    """

    url: str = ""
    storage_url: str = ""
    tokens: set[str] = field(default_factory=set)
    repositories: dict[str, Repository] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    knows_ranges: bool = True
    tells_lengths: bool = True
