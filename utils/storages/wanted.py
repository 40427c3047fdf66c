"""Which files of a model are worth fetching, and where among them the model is."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from utils.errors import UserError
from utils.snapshot import MODEL_FILES, PICKLES, TOKENIZER_FILES
from utils.storages.reference import ARCHIVES, Reference


@dataclass(frozen=True)
class Wanted:
    """Files by the last part of their names.

    Attributes:
        what: model, tokenizer or labels.
        patterns: of the files.
        markers: of files that mark the folder which the thing is.
        weights: of files one of which must be there.
    """

    what: str
    patterns: tuple[str, ...]
    markers: tuple[str, ...]
    weights: tuple[str, ...] = ()

    def choose(self, names: Sequence[str], subject: str) -> list[str]:
        """Which of a place's files to fetch or unpack, by all their names, before any is.

        The wanted files of the one folder that is marked, the uppermost if there are several, so
        that a training run's checkpoints beside the model stay where they are; or, where no folder
        is marked, the one archive.

        Raises:
            UserError: code among the names, nothing wanted, or weights as pickles alone.
        """
        code = [name for name in names if name.endswith(".py")]
        if code:
            raise UserError(subject, f"has code in it, and nothing here runs it: {code[0]}")
        folder = self._folder([PurePosixPath(name) for name in names], subject)
        if folder is None:
            archives = [name for name in names if name.endswith(ARCHIVES)]
            if len(archives) != 1:
                raise UserError(
                    subject, f"has no {self.what}", f"none of {', '.join(self.markers)}"
                )
            return archives
        inside = [name for name in names if PurePosixPath(name).parent == folder]
        if self.weights and not any(_matches(name, self.weights) for name in inside):
            pickles = [name for name in inside if _matches(name, PICKLES)]
            problem = "has no safetensors weights"
            if pickles:
                problem += f", only {pickles[0]}, which can run code when it is read"
            raise UserError(subject, problem, "model.save_pretrained(folder) writes them")
        return [name for name in inside if _matches(name, self.patterns)]

    def root(self, folder: Path, subject: str) -> Path:
        """The folder, at or below `folder`, that holds the thing once it is here."""
        names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        found = self._folder([PurePosixPath(name) for name in names], subject)
        if found is None:
            raise UserError(subject, f"has no {self.what}", f"none of {', '.join(self.markers)}")
        return folder / found

    def _folder(self, names: Sequence[PurePosixPath], subject: str) -> PurePosixPath | None:
        found = {name.parent for name in names if _matches(name.name, self.markers)}
        if not found:
            return None
        first, *others = sorted(found, key=lambda path: (len(path.parts), path))
        if others and len(others[0].parts) == len(first.parts):
            raise UserError(
                subject, f"has several of a {self.what}: {first}, {others[0]}", "name the folder"
            )
        return first


LABEL_FILES = ("id2label.json", "label2id.json")

WANTED = {
    "model": Wanted("model", MODEL_FILES, ("config.json",), ("*.safetensors",)),
    "tokenizer": Wanted(
        "tokenizer",
        TOKENIZER_FILES,
        ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "*.model"),
    ),
}


def wanted_labels(reference: Reference) -> Wanted:
    """The label file of a folder, or the very file that a reference ends with."""
    last = PurePosixPath(reference.name).name
    names = LABEL_FILES + ((last,) if last.endswith(".json") else ())
    return Wanted("label file", names, names)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    last = PurePosixPath(name).name
    return any(fnmatchcase(last, pattern) for pattern in patterns)
