"""ClearML's storage in a process of its own: the SDK reads its configuration once."""

import os
import subprocess
import sys
from pathlib import Path

from tests.storages.clearml_tests import MODEL, ClearMLTests
from utils.folders import ROOT

# Prints the revision, then what is still running.
FETCH = f"""
import sys, threading
from pathlib import Path
from utils.storages.clearml.storage import ClearMLStorage
storage = ClearMLStorage("{MODEL}")
revision = storage.resolve()
for file in storage.files(revision):
    storage.download(revision, file, Path(sys.argv[1]) / file.name)
print(revision, threading.active_count())
"""


class ProcessTests(ClearMLTests):
    """Inherit it: as ClearMLTests, with `run`."""

    def run(
        self, folder: Path, conf: str = "", *without: str, script: str = FETCH
    ) -> subprocess.CompletedProcess[str]:
        """Fetch MODEL.

        Args:
            folder: gets home/, work/, which is the working folder, and target/, for the files.
            conf: clearml.conf.
            without: variables that the environment does not have.
            script: what runs, with target/ as its argument.
        """
        for name in ("work", "home", "target"):
            (folder / name).mkdir()
        (folder / "clearml.conf").write_text(conf)
        environment = {
            **{name: value for name, value in os.environ.items() if name not in without},
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder / "home"),
        }
        return subprocess.run(
            [sys.executable, "-c", script, str(folder / "target")],
            cwd=folder / "work",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
