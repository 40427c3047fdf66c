"""Which storages there are, and the module and the packages that each needs.

Data; third parties add rows through entry points of the group `triton_image.storages`, whose name
is the scheme and whose object is a class that keeps `contract.Storage`.
"""

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version

from utils.errors import UserError
from utils.storages.contract import Storage
from utils.storages.reference import LOCAL

ENTRY_POINTS = "triton_image.storages"


@dataclass(frozen=True)
class Row:
    """A storage.

    Attributes:
        place: module and class, "package.module:Class".
        packages: distributions that it needs.
        extra: name of the file in requirements/ that pins them; "" for what is always there.
        example: a reference.
    """

    place: str
    packages: tuple[str, ...]
    extra: str
    example: str


STORAGES: dict[str, Row] = {
    "hf": Row(
        "utils.storages.hub.storage:HubStorage", ("huggingface_hub",), "", "hf://user/name@revision"
    ),
    "clearml": Row(
        "utils.storages.clearml.storage:ClearMLStorage",
        ("clearml",),
        "clearml",
        "clearml://<model id>",
    ),
    "mlflow": Row(
        "utils.storages.mlflow:MLflowStorage",
        ("mlflow-skinny",),
        "mlflow",
        "mlflow://models:/name/version",
    ),
    "wandb": Row(
        "utils.storages.wandb:WandbStorage", ("wandb",), "wandb", "wandb://entity/project/name:v0"
    ),
    "s3": Row("utils.storages.buckets:S3Storage", ("fsspec", "s3fs"), "s3", "s3://bucket/folder"),
    "gs": Row(
        "utils.storages.buckets:GoogleStorage", ("fsspec", "gcsfs"), "gs", "gs://bucket/folder"
    ),
    "az": Row(
        "utils.storages.buckets:AzureStorage", ("fsspec", "adlfs"), "az", "az://container/folder"
    ),
    "http": Row(
        "utils.storages.web:HttpStorage", ("fsspec", "aiohttp"), "http", "http://host/model.tar.gz"
    ),
    "https": Row(
        "utils.storages.web:HttpsStorage",
        ("fsspec", "aiohttp"),
        "http",
        "https://host/model.tar.gz",
    ),
    LOCAL: Row("utils.storages.local:LocalStorage", ("fsspec",), "", "model/ or model.tar.gz"),
}


def storage_class(scheme: str) -> type[Storage]:
    """The class of a scheme; its module, and so its client, is imported here.

    Raises:
        UserError: an unknown scheme, or a package that is not installed.
    """
    row = STORAGES.get(scheme)
    if row is None:
        return _third_party(scheme)
    missing = missing_packages(row)
    if missing:
        raise UserError(f"{scheme}://", f"needs {', '.join(missing)}", install_command(row))
    module, _, name = row.place.partition(":")
    found: type[Storage] = getattr(importlib.import_module(module), name)
    return found


@dataclass(frozen=True)
class Listed:
    """A row as people and machines are told of it.

    Attributes:
        scheme: of references.
        example: a reference.
        installed: packages and versions; "" when one is missing.
        install: what installs them.
    """

    scheme: str
    example: str
    installed: str
    install: str


def listed(scheme: str) -> Listed:
    """What there is of a storage."""
    row = STORAGES[scheme]
    versions = [f"{package} {installed_version(package)}" for package in row.packages]
    installed = "" if missing_packages(row) else ", ".join(versions) or "always there"
    return Listed(scheme, row.example, installed, install_command(row))


def install_command(row: Row) -> str:
    """What installs a storage's packages."""
    return f"make setup-storage NAME={row.extra}" if row.extra else "make setup"


def missing_packages(row: Row) -> list[str]:
    """Which of a storage's packages are not installed."""
    return [package for package in row.packages if installed_version(package) is None]


def installed_version(package: str) -> str | None:
    """Version of a distribution, None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _third_party(scheme: str) -> type[Storage]:
    for point in entry_points(group=ENTRY_POINTS, name=scheme):
        found: type[Storage] = point.load()
        return found
    known = sorted({*STORAGES, *(point.name for point in entry_points(group=ENTRY_POINTS))})
    raise UserError(f"{scheme}://", "is no known storage", f"known: {', '.join(known)}")
