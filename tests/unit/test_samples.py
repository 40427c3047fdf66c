"""utils/samples.py."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.errors import UserError
from utils.samples import Example, read_labelled, read_samples


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a file of the given name, as UTF-8 and with its line ends as they are."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8"))
        return path

    return write_file


Write = Callable[[str, str], Path]


def test_built_in_samples_are_of_many_scripts() -> None:
    texts = "".join(example.text for example in read_samples(None, pairs=False))
    for script in ("the", "аказ", "我", "パ", "배", "أ", "א", "म", "ข", "👍"):
        assert script in texts


def test_built_in_samples_are_of_unequal_length() -> None:
    lengths = [len(example.text) for example in read_samples(None, pairs=False)]
    assert min(lengths) < 5
    assert max(lengths) > 300


def test_built_in_pairs_have_every_built_in_text_on_both_sides() -> None:
    texts = [example.text for example in read_samples(None, pairs=False)]
    pairs = read_samples(None, pairs=True)
    assert [example.text for example in pairs] == texts
    assert sorted(str(example.text_pair) for example in pairs) == sorted(texts)


def test_built_in_pairs_mix_lengths_in_both_orders() -> None:
    pairs = read_samples(None, pairs=True)
    longer = [len(example.text) > len(example.text_pair or "") for example in pairs]
    assert 0.25 < sum(longer) / len(longer) < 0.75
    assert not [example for example in pairs if example.text == example.text_pair]


def test_each_line_of_a_file_is_a_text_and_empty_lines_are_none(write: Write) -> None:
    path = write("samples.txt", "\n один \r\n\n   \ntwo\u2028lines in one")
    assert read_samples(path, pairs=False) == [
        Example(" один "),
        Example("two\u2028lines in one"),
    ]


def test_a_tab_in_a_line_is_part_of_a_single_text(write: Write) -> None:
    assert read_samples(write("samples.txt", "a\tb"), pairs=False) == [Example("a\tb")]


def test_a_tab_parts_the_two_texts_of_a_pair(write: Write) -> None:
    path = write("samples.txt", "один\ttwo\n\n\tanother\none\t\n")
    assert read_samples(path, pairs=True) == [
        Example("один", "two"),
        Example("", "another"),
        Example("one", ""),
    ]


@pytest.mark.parametrize("line", ["one", "one\ttwo\tthree"])
def test_a_line_that_is_not_two_texts_is_refused_for_pairs_naming_it(
    line: str, write: Write
) -> None:
    path = write("samples.txt", f"a\tb\n{line}\n")
    with pytest.raises(UserError, match="text 2 is not two with a tab between"):
        read_samples(path, pairs=True)


def test_samples_may_be_csv(write: Write) -> None:
    path = write("samples.csv", 'id,text\r\n1,"a, ""b""\nc"\r\n2,\r\n')
    assert read_samples(path, pairs=False) == [Example('a, "b"\nc'), Example("")]


def test_samples_may_be_json_lines(write: Write) -> None:
    path = write("samples.jsonl", '{"text": "два\\nlines", "other": 1}\n\n{"text": ""}\n')
    assert read_samples(path, pairs=False) == [Example("два\nlines"), Example("")]


def test_the_mark_that_spreadsheets_put_first_is_no_part_of_the_file(write: Write) -> None:
    assert read_samples(write("a.csv", "\ufefftext\nfox\n"), pairs=False) == [Example("fox")]


def test_pairs_may_be_csv_or_json_lines(write: Write) -> None:
    wanted = [Example("a", "b")]
    assert read_samples(write("samples.csv", "text_pair,text\nb,a\n"), pairs=True) == wanted
    jsonl = write("samples.jsonl", '{"text_pair": "b", "text": "a"}')
    assert read_samples(jsonl, pairs=True) == wanted


def test_a_second_text_is_left_out_where_texts_do_not_come_in_pairs(write: Write) -> None:
    path = write("samples.jsonl", '{"text_pair": "b", "text": "a"}')
    assert read_samples(path, pairs=False) == [Example("a")]


def test_a_line_separator_inside_json_does_not_end_the_line(write: Write) -> None:
    path = write("samples.jsonl", '{"text": "a\u2028b"}')
    assert read_samples(path, pairs=False) == [Example("a\u2028b")]


def test_absent_samples_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.txt: no such file"):
        read_samples(tmp_path / "absent.txt", pairs=False)


@pytest.mark.parametrize("text", ["", "\n", "  \n\t\n"])
@pytest.mark.parametrize("name", ["samples.txt", "samples.csv", "samples.jsonl"])
def test_samples_without_a_text_are_refused(name: str, text: str, write: Write) -> None:
    with pytest.raises(UserError, match=r"has no texts|a row has no text"):
        read_samples(write(name, text), pairs=False)


@pytest.mark.parametrize("name", ["samples.txt", "samples.csv", "samples.jsonl"])
def test_samples_in_another_encoding_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes("да".encode("cp1251"))
    with pytest.raises(UserError, match="not UTF-8 text"):
        read_samples(path, pairs=False)


def test_labels_of_csv_are_text(write: Write) -> None:
    path = write("labelled.csv", 'label,text\ngood,a\n1,b\n"[""x"", ""y""]",c\n')
    assert read_labelled(path, pairs=False) == [
        Example("a", None, "good"),
        Example("b", None, "1"),
        Example("c", None, '["x", "y"]'),
    ]


@pytest.mark.parametrize("label", ["good", 1, 2.5, ["x", "y"], [], 0, False, ""])
def test_labels_of_json_lines_are_as_they_stand_there(label: object, write: Write) -> None:
    path = write("labelled.jsonl", json.dumps({"text": "a", "label": label}))
    assert read_labelled(path, pairs=False) == [Example("a", None, label)]


def test_labelled_pairs_have_both_texts_and_the_label(write: Write) -> None:
    path = write("labelled.csv", "text,text_pair,label\na,b,c\n")
    assert read_labelled(path, pairs=True) == [Example("a", "b", "c")]


def test_labelled_texts_of_another_kind_of_file_are_refused(write: Write) -> None:
    with pytest.raises(UserError, match=r"labelled\.txt: neither \.csv nor \.jsonl"):
        read_labelled(write("labelled.txt", "text,label\na,b\n"), pairs=False)


@pytest.mark.parametrize(
    ("name", "text", "missing"),
    [
        ("labelled.csv", "text\na\n", "label"),
        ("labelled.csv", "label\na\n", "text"),
        ("labelled.csv", "text,label\na\n", "label"),
        ("labelled.csv", "text,label,text_pair\na,b\n", "text_pair"),
        ("labelled.jsonl", '{"text": "a"}', "label"),
        ("labelled.jsonl", '{"text": "a", "label": null}', "label"),
        ("labelled.jsonl", '{"label": "a"}', "text"),
        ("labelled.jsonl", '{"text": "a", "label": "b"}', "text_pair"),
    ],
)
def test_a_row_that_lacks_something_is_refused_naming_it(
    name: str, text: str, missing: str, write: Write
) -> None:
    with pytest.raises(UserError, match=rf"{name}: a row has no {missing} \("):
        read_labelled(write(name, text), pairs=missing == "text_pair")


@pytest.mark.parametrize("name", ["text", "text_pair"])
def test_a_text_that_is_no_text_is_refused(name: str, write: Write) -> None:
    row = {"text": "a", "text_pair": "b", "label": "c"} | {name: 1}
    with pytest.raises(UserError, match=f"a {name} is not a text"):
        read_labelled(write("labelled.jsonl", json.dumps(row)), pairs=True)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("labelled.csv", 'text,label\n"a,b\n', "unexpected end of data"),
        ("labelled.jsonl", '{"text": "a"', "Expecting"),
        ("labelled.jsonl", '["a", "b"]', "a line is not a JSON object"),
        ("labelled.jsonl", "[" * 100_000, "maximum recursion"),
    ],
    ids=["open quote", "open object", "not an object", "endless nesting"],
)
def test_a_damaged_file_is_refused_with_the_forms_that_are_read(
    name: str, text: str, problem: str, write: Write
) -> None:
    with pytest.raises(UserError, match=rf"{name}: {problem}.*\(CSV with a header, or JSON lines"):
        read_labelled(write(name, text), pairs=False)
