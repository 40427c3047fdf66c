"""The texts that the gates use."""

from pathlib import Path

from utils.errors import UserError

BUILT_IN = Path(__file__).with_name("samples.txt")


def read_samples(path: Path | None) -> list[str]:
    """Texts of a file, one a line, empty lines left out; the built-in multilingual ones for None.

    Raises:
        UserError: the file is absent, empty or not UTF-8.
    """
    source = path or BUILT_IN
    try:
        texts = [line for line in source.read_text(encoding="utf-8").split("\n") if line.strip()]
    except FileNotFoundError as error:
        raise UserError(source, "no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(source, "not UTF-8 text") from error
    if not texts:
        raise UserError(source, "has no texts", "one text per line")
    return texts
