"""--ca-file: a server whose certificate only its owner knows."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import checkpoints
from tests.serving import ROOT, base_environment
from tests.storages.packing import zipped
from tests.storages.web_server import Site

CERTIFICATE_VARIABLES = (
    *("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"),
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A web server with a certificate of its own and a tiny checkpoint."""
    checkpoint = checkpoints.make_bert(tmp_path)
    files = [*checkpoint.model.iterdir(), *checkpoint.tokenizer.iterdir()]
    archive = zipped({path.name: path.read_bytes() for path in files})
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    both = tmp_path / "both.pem"
    both.write_text(certificate.read_text() + key.read_text())
    site = Site({"/model.zip": archive}, certificate=both)
    with site.running():
        yield site


def build(site: Site, folder: Path, *options: str | Path) -> "subprocess.CompletedProcess[str]":
    """Render a model from the site; no image."""
    environment = {
        key: value for key, value in base_environment().items() if key not in CERTIFICATE_VARIABLES
    }
    return subprocess.run(
        [
            *(ROOT / "make_triton_image.sh", "--no-image", *options),
            *(f"https://localhost:{site.port}/model.zip", "-", folder / "id2label.json", "own"),
        ],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**environment, "no_proxy": "localhost"},
    )


@pytest.mark.server
def test_a_model_comes_from_a_server_whose_certificate_the_user_names(
    site: Site, tmp_path: Path
) -> None:
    done = build(site, tmp_path, "--ca-file", tmp_path / "ca.pem")
    assert done.returncode == 0, done.stderr


@pytest.mark.server
def test_without_it_the_server_is_not_trusted(site: Site, tmp_path: Path) -> None:
    done = build(site, tmp_path)
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr.splitlines()[-1]
