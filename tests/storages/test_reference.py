"""utils/storages/reference.py."""

import pytest

from utils.errors import UserError
from utils.storages.reference import LOCAL, Reference, parse_reference


@pytest.mark.parametrize(
    ("text", "scheme", "name"),
    [
        ("model", LOCAL, "model"),
        ("./a b/модель", LOCAL, "./a b/модель"),
        ("/model.tar.gz", LOCAL, "/model.tar.gz"),
        ("hf://user/name@main", "hf", "user/name@main"),
        ("mlflow://models:/name/3", "mlflow", "models:/name/3"),
        ("s3://bucket/a/b", "s3", "bucket/a/b"),
        ("https://host:8080/a.zip", "https", "host:8080/a.zip"),
    ],
)
def test_a_path_or_uri_is_read(text: str, scheme: str, name: str) -> None:
    assert parse_reference(text) == Reference(scheme, name)
    assert str(parse_reference(text)) == text


def test_a_bare_name_is_of_the_storage_that_is_named_beside_it() -> None:
    assert parse_reference("0123abcd", "clearml") == Reference("clearml", "0123abcd")


def test_a_uri_may_be_of_the_storage_that_is_named_beside_it() -> None:
    assert parse_reference("hf://user/name", "hf") == Reference("hf", "user/name")


def test_a_uri_of_another_storage_than_the_one_named_beside_it_is_refused() -> None:
    with pytest.raises(UserError, match="is not of the storage clearml"):
        parse_reference("hf://user/name", "clearml")


@pytest.mark.parametrize("scheme", ["http", "https", "s3"])
def test_credentials_in_a_reference_are_refused_and_not_repeated(scheme: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_reference(f"{scheme}://me:canary@host/model.zip")
    assert "credentials" in str(caught.value)
    assert "canary" not in str(caught.value)
