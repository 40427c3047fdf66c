"""Who is let in, over what, and to what."""

import ssl
import subprocess
from pathlib import Path

import pytest

from tests.containers import docker
from tests.reliability.service import Model, Service, steady
from tests.reliability.wire import ask, assert_refused, message

pytestmark = pytest.mark.reliability

OPEN = ("/v2/health/live", "/v2/health/ready", "MODEL/ready", "/v2", "/", "/openapi.json")
KEY = "kEy-1+/="


def with_key(key: str) -> dict[str, dict[str, str]]:
    """Headers by the way that they bring a key."""
    return {
        "bearer": {"Authorization": f"Bearer {key}"},
        "small letter": {"Authorization": f"bearer {key}"},
        "header": {"X-API-Key": key},
    }


WRONG = {
    "none": {},
    "another one": {"X-API-Key": "another"},
    "one letter less": {"X-API-Key": KEY[:-1]},
    "one letter more": {"X-API-Key": KEY + "x"},
    "an empty one": {"X-API-Key": ""},
    "an empty bearer": {"Authorization": "Bearer "},
    "basic": {"Authorization": f"Basic {KEY}"},
    "in the address": {"Referer": f"http://a/?key={KEY}"},
    "half right": {"Authorization": "Bearer another", "X-API-Key": KEY},
}


def assert_locked(server: Service, keys: list[str]) -> None:
    """Health is open, answers need one of these keys."""
    path, infer = server.model.path, server.model.infer(["ok"]).partition(b"\r\n\r\n")[2]
    for address in OPEN:
        answer = server.ask(message("GET", address.replace("MODEL", path)))
        assert answer is not None and answer.status == 200, address
    requests = (("POST", f"{path}/infer", infer), ("POST", "/classify", b'{"text":"ok"}'))
    for method, address, body in (*requests, ("GET", path, None)):
        for name, headers in WRONG.items():
            answer = server.ask(message(method, address, body, headers))
            assert_refused(answer, [401])
            assert answer is not None and "WWW-Authenticate: Bearer" in answer.head, name
        for key in keys:
            for name, headers in with_key(key).items():
                answer = server.ask(message(method, address, body, headers))
                assert answer is not None and answer.status == 200, (address, name, key)


def test_a_key_of_the_environment_is_asked_for(model: Model) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    with steady(model, f"--env=API_KEY={KEY}", headers=headers) as server:
        assert_locked(server, [KEY])
        # A body is not read for nobody.
        length = {"Content-Length": "1000"}
        assert_refused(server.ask(message("POST", "/classify", b"", length)), [401])
        assert KEY not in server.container.log
        assert KEY not in server.run_inside(
            'for folder in /proc/[0-9]*; do case "$(<$folder/comm)" in'
            ' tritonserver | nginx) tr "\\0" " " <$folder/environ ;; esac; done 2>/dev/null; true'
        )


def test_keys_of_a_file_are_asked_for(model: Model, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("first-key\n\n  second-key  \n", encoding="utf-8")
    keys.chmod(0o644)
    options = (f"--volume={keys}:/run/keys:ro", "--env=API_KEY_FILE=/run/keys")
    with steady(model, *options, headers={"X-API-Key": "second-key"}) as server:
        assert_locked(server, ["first-key", "second-key"])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificate.pem and key.pem for localhost, which the image's user can read."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "key.pem").chmod(0o644)
    folder.chmod(0o755)
    return folder


def test_with_a_certificate_it_speaks_tls_alone(model: Model, certificate: Path) -> None:
    options = (
        f"--volume={certificate}:/run/tls:ro",
        "--env=TLS_CERTIFICATE_FILE=/run/tls/certificate.pem",
        "--env=TLS_KEY_FILE=/run/tls/key.pem",
    )
    trust = ssl.create_default_context(cafile=certificate / "certificate.pem")
    with steady(model, *options, tls=trust) as server:
        assert server.classify(text="ok").status == 200
        assert_refused(ask(server.address, message("GET", "/v2/health/ready")), [400])
        old = ssl.create_default_context(cafile=certificate / "certificate.pem")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):
            ask(server.address, message("GET", "/v2"), tls=old)
        check = ("/opt/tritonserver/python/bin/python3", "/opt/tritonserver/bin/healthcheck")
        assert docker("exec", server.container.name, *check, check=False).returncode == 0


def test_inside_nothing_but_the_front_listens_for_others(server: Service) -> None:
    # 0A is LISTEN; 00000000 any address, 0100007F the loopback's, backwards.
    lines = server.run_inside("cat /proc/net/tcp /proc/net/tcp6").splitlines()
    rows = [line.split() for line in lines if not line.lstrip().startswith("sl")]
    listening = {row[1] for row in rows if row[3] == "0A"}
    public = {int(item.split(":")[1], 16) for item in listening if not item.startswith("0100007F")}
    assert public == {8000, 8002}


def test_grpc_is_there_when_it_is_asked_for_and_without_what_nobody_needs(model: Model) -> None:
    from tritonclient.grpc import InferenceServerClient
    from tritonclient.utils import InferenceServerException

    with steady(model, "--env=GRPC=on") as server:
        name = model.built.model_name
        assert len(server.container.grpc.classify(name, ["ok"])) == 1
        client = InferenceServerClient(
            server.container.address(8001), channel_args=[("grpc.enable_http_proxy", 0)]
        )
        for call in (
            client.get_model_repository_index,
            client.get_system_shared_memory_status,
            client.get_log_settings,
            client.get_trace_settings,
            client.get_inference_statistics,
        ):
            with pytest.raises(InferenceServerException):
                call()
        client.close()


def test_grpc_is_off_when_nobody_asks_for_it(server: Service) -> None:
    assert not server.container.grpc.ready(server.model.built.model_name)
