"""Credentials of ClearML: who gets them, and what is said without them."""

import os
from pathlib import Path

import pytest

from tests.storages.clearml_handlers import Files
from tests.storages.clearml_process import ProcessTests
from tests.storages.clearml_server import ACCESS_KEY, Answers, Server
from tests.storages.clearml_tests import MODEL, PACKAGE, ClearMLTests
from tests.storages.contract import SECRET
from utils.storages.clearml.storage import ClearMLStorage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class TestAccess(ClearMLTests):
    def test_a_wrong_secret_is_one_line_that_names_clearml_init(self, answers: Answers) -> None:
        answers.secret_key += "another"
        line = self.refusal()
        assert "401" in line
        assert "invalid credentials" in line
        assert "clearml-init" in line

    def test_an_expired_token_is_renewed(self, answers: Answers) -> None:
        answers.expiring = 1
        ClearMLStorage(MODEL).resolve()
        assert answers.asked.count("GET /auth.login") == 2

    def test_tokens_that_keep_expiring_end_with_what_the_server_says(
        self, answers: Answers
    ) -> None:
        answers.expiring = 10
        line = self.refusal()
        assert "401" in line
        assert "expired token" in line

    def test_an_unknown_id_is_told_in_the_words_of_the_server(self) -> None:
        assert "answered 400: Invalid model id" in self.refusal("f" * 32)

    def test_a_server_under_maintenance_is_not_waited_for(self, answers: Answers) -> None:
        answers.busy = True
        assert "the API server cannot be reached" in self.refusal()

    @pytest.mark.timeout(60)
    def test_a_server_without_tls_is_not_asked_for_ever_to_have_it(
        self, api: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLEARML_API_HOST", api.url.replace("http", "https"))
        assert "cannot be reached: TLS fails" in self.refusal()

    def test_something_else_at_the_address_is_not_taken_for_the_api(
        self, file_server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLEARML_API_HOST", file_server.url)
        assert "error 401 from" in self.refusal()

    def test_tokens_go_to_the_file_server(self, answers: Answers) -> None:
        ClearMLStorage(MODEL).resolve()
        assert answers.tokens == [f"Bearer {answers.token}"]

    @pytest.mark.parametrize("path", ["/public/model.zip", "/public/model.zip?signature=1"])
    def test_tokens_go_to_no_other_server(self, path: str) -> None:
        stranger = Answers(secret_key="", files={"/public/model.zip": b"zip"})
        with Server(Files, stranger).running() as server:
            self.register(uri=f"{server.url}{path}")
            ClearMLStorage(MODEL).resolve()
        assert stranger.tokens == [None]

    def test_clearml_told_to_be_offline_is_not_asked(
        self, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLEARML_OFFLINE_MODE", "1")
        assert "CLEARML_OFFLINE_MODE" in self.refusal()
        assert answers.asked == []


class TestProcess(ProcessTests):
    def test_nothing_but_our_own_is_printed_and_no_thread_stays(self, tmp_path: Path) -> None:
        done = self.run(tmp_path)
        assert done.stdout == f"{ClearMLStorage(MODEL).resolve()} 1\n", done.stderr
        assert done.stderr == ""

    @pytest.mark.parametrize(
        ("variable", "value", "said"),
        [
            ("CLEARML_API_HOST_VERIFY_CERT", "0", "Certificate verification is disabled"),
            ("CLEARML_API_EXTRA_RETRY_CODES", "504", "Using extra HTTP retry codes"),
        ],
    )
    def test_what_the_sdk_prints_is_not_on_stdout(
        self, variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(variable, value)
        done = self.run(tmp_path)
        assert said in done.stderr
        assert len(done.stdout.splitlines()) == 1

    def test_nothing_is_written_but_the_model(self, tmp_path: Path) -> None:
        self.run(tmp_path)
        found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
        expected = {"work", "home", "target", "target/model_package.zip", "clearml.conf"}
        assert found == expected

    def test_a_model_is_all_that_is_asked_for(self, answers: Answers, tmp_path: Path) -> None:
        self.run(tmp_path)
        assert answers.asked == [
            "GET /debug.ping",
            "GET /auth.login",
            "GET /models.get_by_id",
            f"HEAD {PACKAGE}",
            f"GET {PACKAGE}",
        ]

    def test_a_clearml_conf_of_the_user_is_honoured(
        self, api: Server, file_server: Server, tmp_path: Path
    ) -> None:
        conf = f"""
        api {{
            api_server: {api.url}
            web_server: {api.url}
            files_server: {file_server.url}
            credentials {{ "access_key" = "{ACCESS_KEY}", "secret_key" = "{SECRET}" }}
        }}
        """
        variables = [name for name in os.environ if name.startswith(("CLEARML_API", "CLEARML_F"))]
        done = self.run(tmp_path, conf, *variables)
        assert done.stdout.startswith(f"{MODEL}-"), done.stderr

    def test_addresses_that_clearml_conf_substitutes_are_substituted(
        self, file_server: Server, tmp_path: Path
    ) -> None:
        conf = f"""
        sdk.storage.path_substitution = [
            {{ registered_prefix: "http://gone.invalid", local_prefix: "{file_server.url}" }}
        ]
        """
        self.register(uri=f"http://gone.invalid{PACKAGE}")
        assert self.run(tmp_path, conf).stdout.startswith(f"{MODEL}-")

    def test_without_credentials_nobody_is_asked(self, answers: Answers, tmp_path: Path) -> None:
        done = self.run(tmp_path, "", "CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY")
        assert "clearml is not configured (clearml-init" in done.stderr
        assert answers.asked == []

    def test_a_clearml_conf_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "api { ][")
        line = done.stderr.splitlines()[-1]
        assert f"clearml://{MODEL}: Failed parsing" in line
        assert "clearml.conf" in line
