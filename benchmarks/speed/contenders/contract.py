"""What a contender is: how it is started, asked and understood.

Each folder beside this file has `contender.py` with one CONTENDER, and what it needs:
`requirements.txt` (its own virtual environment, made on demand) and `serve.py` or whatever its
command runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Nobody is asked for anything while texts are answered.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Contender:
    """A server of a checkpoint that `save_pretrained` wrote, tokenizer included.

    Attributes:
        name: that of its folder.
        title: as tables have it.
        packages: whose versions the results name, most telling first.
        command: from (python of its environment, folder of the checkpoint, port) to the command
            that serves on 127.0.0.1 in the foreground until SIGTERM.
        path: where texts are posted to.
        body: the request's JSON for one text.
        label: the top label in a reply, from its parsed JSON.
        ready_path: answers 200 once texts are answered.
        environment: variables of the process, beside those it inherits.
        unserved: patterns of packages that only `prepare` needs; they do not count as its size.
        prepare: from (python, folder of the checkpoint) to a command to run to its end before the
            first start, which would have to do that work itself otherwise; None for none.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    command: Callable[[Path, Path, int], list[str]]
    path: str
    body: Callable[[str], bytes]
    label: Callable[[Any], str]
    ready_path: str
    environment: dict[str, str] = field(default_factory=lambda: dict(OFFLINE))
    unserved: tuple[str, ...] = ()
    prepare: Callable[[Path, Path], list[str]] | None = None
