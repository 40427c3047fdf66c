"""The servers that an image may have: the folders under server/ with a Dockerfile."""

from dataclasses import dataclass
from pathlib import Path

from utils.targets.profiles import ROOT, read_fields, read_toml

SERVERS = ROOT / "server"


@dataclass(frozen=True)
class ServerKind:
    """What an image is built on.

    Attributes:
        name: of the folder.
        summary: a few words.
        base_image: reference of the base image, {release} in it where there are several.
        platforms: of images, as docker names them.
        release: the default one; "" where there is only one.
        triton_release: that only one, by the names of NVIDIA's images.
        triton_version: the server's own name for it.
        oldest: the oldest release whose parts this project's repositories run on.
        slim_base: what parts of the base image are copied to; "" for no such image.
        suite: Debian's release for a base that is bootstrapped; "" for none.
        packages: of that base.
    """

    name: str
    summary: str
    base_image: str
    platforms: tuple[str, ...]
    release: str = ""
    triton_release: str = ""
    triton_version: str = ""
    oldest: str = ""
    slim_base: str = ""
    suite: str = ""
    packages: tuple[str, ...] = ()

    @property
    def dockerfile(self) -> Path:
        """What images are built by."""
        return SERVERS / self.name / "Dockerfile"

    @property
    def lock_file(self) -> Path:
        """The packages that its base image lacks; absent where they are the profile's."""
        return SERVERS / self.name / "requirements.txt"


def server_names() -> list[str]:
    """All servers."""
    return sorted(path.parent.name for path in SERVERS.glob("*/server.toml"))


def read_server(name: str) -> ServerKind:
    """The server of a name that `server_names` has.

    Raises:
        UserError: its file is not of the form above.
    """
    return read_toml(
        SERVERS / name / "server.toml", lambda data: read_fields(ServerKind, {"name": name, **data})
    )
