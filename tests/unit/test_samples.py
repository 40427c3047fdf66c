"""utils/samples.py."""

from pathlib import Path

import pytest

from utils.errors import UserError
from utils.samples import read_samples


def test_built_in_samples_are_of_many_scripts() -> None:
    texts = "".join(read_samples(None))
    for script in ("the", "аказ", "我", "パ", "배", "أ", "א", "म", "ข", "👍"):
        assert script in texts


def test_built_in_samples_are_of_unequal_length() -> None:
    lengths = [len(text) for text in read_samples(None)]
    assert min(lengths) < 5
    assert max(lengths) > 300


def test_each_line_of_a_file_is_a_text_and_empty_lines_are_none(tmp_path: Path) -> None:
    path = tmp_path / "samples.txt"
    path.write_text("\n один \r\n\n   \ntwo\u2028lines in one", encoding="utf-8")
    assert read_samples(path) == [" один ", "two\u2028lines in one"]


def test_absent_samples_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.txt: no such file"):
        read_samples(tmp_path / "absent.txt")


@pytest.mark.parametrize("text", ["", "\n", "  \n\t\n"])
def test_samples_without_a_text_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.txt"
    path.write_text(text)
    with pytest.raises(UserError, match="has no texts"):
        read_samples(path)


def test_samples_in_another_encoding_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.txt"
    path.write_bytes("да".encode("cp1251"))
    with pytest.raises(UserError, match="not UTF-8 text"):
        read_samples(path)
