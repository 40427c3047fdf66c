"""What a conversion is made of: where each part came from and where it lies now."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from utils.errors import UserError


@dataclass(frozen=True)
class Source:
    """A model, a tokenizer or a label file.

    Attributes:
        path: the folder, or the label file, on this machine; not to be written to.
        reference: as the user named it.
        revision: immutable id of what that stood for; "" for a path of the user's.
        scanner: what has looked at weights that came as pickles; "" for safetensors.
    """

    path: str
    reference: str
    revision: str
    scanner: str = ""


def local_source(path: Path) -> Source:
    """A path of the user's."""
    return Source(str(path), str(path), "")


@dataclass(frozen=True)
class Sources:
    """All three; labels are None when they are the names in the model's config.json."""

    model: Source
    tokenizer: Source
    labels: Source | None

    def references(self) -> dict[str, str]:
        """Part to reference."""
        labels = self.labels.reference if self.labels else f"{self.model.reference}/config.json"
        return {
            "model": self.model.reference,
            "tokenizer": self.tokenizer.reference,
            "labels": labels,
        }

    def revisions(self) -> dict[str, str]:
        """Part to revision, of those that have one."""
        parts = {"model": self.model, "tokenizer": self.tokenizer, "labels": self.labels}
        return {
            part: source.revision for part, source in parts.items() if source and source.revision
        }


def dump_sources(sources: Sources) -> str:
    """The text of a sources.json."""
    return json.dumps(asdict(sources), ensure_ascii=False, indent=2) + "\n"


def read_sources(path: Path) -> Sources:
    """Read a sources.json.

    Raises:
        UserError: not a file that fetch.py wrote.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        return Sources(**{part: value and Source(**value) for part, value in data.items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(path, "absent or damaged", "run utils/fetch.py again") from error
