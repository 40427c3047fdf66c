"""Models of ClearML in buckets, through the SDK's own client of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.storages.clearml_process import ProcessTests
from tests.storages.clearml_tests import MODEL
from tests.storages.contract import CONTENT, MODEL_FILES, SECRET

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Prints the revision and the files, which it fetches.
OBTAIN = f"""
import sys
from pathlib import Path
from utils.storages.clearml.storage import ClearMLStorage
storage = ClearMLStorage("{MODEL}")
revision = storage.resolve()
print(revision)
for file in storage.files(revision):
    storage.download(revision, file, Path(sys.argv[1]) / Path(file.name).name)
    print(file.name, file.size)
"""
CONF = "sdk.aws.s3 { use_credentials_chain: true, region: us-east-1 }"


class TestBucket(ProcessTests):
    @pytest.fixture
    def bucket(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """An S3 server with two models, the name of one beginning like the other's."""
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        bucket = boto3.resource("s3", region_name="us-east-1").create_bucket(Bucket="models")
        for key in ("runs/bert/config.json", "runs/bert/model.safetensors"):
            bucket.put_object(Key=key, Body=CONTENT[Path(key).name])
        bucket.put_object(Key="runs/bert-large/config.json", Body=b"{}")
        yield bucket
        server.stop()

    @pytest.fixture
    def uri(self, bucket: Any) -> str:
        return f"s3://{bucket.name}/runs/bert"

    def revision(self, folder: Path) -> str:
        """What resolving ends with, in a process that begins in a folder."""
        folder.mkdir()
        return self.run(folder, CONF, script=OBTAIN).stdout.splitlines()[0]

    def test_files_below_the_folder_are_listed(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, CONF, script=OBTAIN)
        listed = {f"{name} {len(CONTENT[name])}" for name in MODEL_FILES}
        assert set(done.stdout.splitlines()[1:]) == listed, done.stderr

    def test_files_come_and_nothing_else_stays(self, tmp_path: Path) -> None:
        self.run(tmp_path, CONF, script=OBTAIN)
        came = {path.name: path.read_bytes() for path in (tmp_path / "target").iterdir()}
        assert came == {name: CONTENT[name] for name in MODEL_FILES}
        assert [*(tmp_path / "home").iterdir(), *(tmp_path / "work").iterdir()] == []

    def test_one_object_is_a_model_of_one_file(self, bucket: Any, tmp_path: Path) -> None:
        self.register(uri=f"s3://{bucket.name}/runs/bert/config.json")
        self.run(tmp_path, CONF, script=OBTAIN)
        came = {path.name: path.read_bytes() for path in (tmp_path / "target").iterdir()}
        assert came == {"config.json": CONTENT["config.json"]}

    def test_other_content_of_the_same_size_is_another_revision(
        self, bucket: Any, tmp_path: Path
    ) -> None:
        before = self.revision(tmp_path / "before")
        bucket.put_object(Key="runs/bert/config.json", Body=CONTENT["config.json"][::-1])
        assert self.revision(tmp_path / "after") != before

    def test_the_same_content_is_the_same_revision(self, tmp_path: Path) -> None:
        assert self.revision(tmp_path / "before") == self.revision(tmp_path / "after")

    def test_a_bucket_without_credentials_is_one_line(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", script=OBTAIN)
        line = done.stderr.splitlines()[-1]
        assert f"clearml://{MODEL}: s3://models cannot be opened by clearml" in line

    def test_why_a_bucket_cannot_be_opened_is_not_on_stdout(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", script=OBTAIN)
        assert "Missing key and secret" in done.stderr
        assert done.stdout == ""
