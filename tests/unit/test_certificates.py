"""utils/certificates.py."""

import ssl
import subprocess
from pathlib import Path

import certifi
import pytest

from tests.in_process import call
from tests.unit.commands import error_line, run_utility
from utils import certificates
from utils.errors import UserError


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of somebody's own, beside its key."""
    folder = tmp_path_factory.mktemp("authority")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=proxy.local", "-keyout", folder / "key.pem",
         "-out", folder / "own.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "own.pem"


def trusted(bundle: Path) -> set[str]:
    """The subjects in a bundle."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    return {str(item["subject"]) for item in context.get_ca_certs()}


def bundle(own: Path, target: Path) -> set[str]:
    """The subjects in the bundle of a file."""
    call(certificates.main, "--output", target, own)
    return trusted(target)


def test_a_bundle_has_the_public_certificates_and_ones_own(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert bundle(authority, tmp_path / "all.pem") == trusted(Path(certifi.where())) | trusted(
        authority
    )
    assert len(trusted(authority)) == 1


def test_where_the_system_has_no_bundle_the_public_one_of_the_packages_is_taken(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    assert trusted(Path(certifi.where())) <= bundle(authority, tmp_path / "all.pem")


def test_what_stands_between_certificates_may_be_in_any_language(
    authority: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_text(f"# Főtanúsítvány, прокси\n{authority.read_text()}", encoding="utf-8")
    assert trusted(authority) <= bundle(own, tmp_path / "all.pem")


@pytest.mark.parametrize("content", [b"", b"no certificates\n", b"\xff\xfe\x00", b"\x30\x82\x01"])
def test_a_file_without_certificates_is_refused(content: bytes, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(content)
    with pytest.raises(UserError) as caught:
        bundle(own, tmp_path / "all.pem")
    assert str(caught.value) == f"{own}: holds no certificates in PEM"
    assert not (tmp_path / "all.pem").exists()


def test_a_key_is_no_certificate(authority: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no certificates in PEM"):
        bundle(authority.with_name("key.pem"), tmp_path / "all.pem")


def test_an_absent_file_is_one_line(tmp_path: Path) -> None:
    result = run_utility("certificates.py", "--output", tmp_path / "all.pem", tmp_path / "absent")
    assert error_line(result) == f"error: {tmp_path}/absent: holds no certificates in PEM"
