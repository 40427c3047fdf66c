"""Hardware profiles: the folders under hardware/, read and checked."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from utils.errors import UsageError, UserError

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "hardware"

# The precision that every profile has.
PLAIN = "fp32"

_Form = TypeVar("_Form")


@dataclass(frozen=True)
class Precision:
    """In what numbers a profile computes, and how far answers may move by it.

    Attributes:
        graph: how the exported graph is rewritten: fp32 (not at all), fp16, fp16-standard (without
            ONNX Runtime's own operators), int8, or int8-weights (which leaves activations alone).
        engine: variables of the profile's engine.pbtxt.
        cpu_flags: of /proc/cpuinfo, of which the machine needs one; none: any machine will do.
        agreement: least share of texts whose labels stay the same as in fp32.
        difference: largest difference of a score to fp32's; None: only labels count.
        tolerance: largest difference of a score between two runs of the same graph, alone or in
            a batch, on this machine or that.
    """

    graph: str = "fp32"
    engine: Mapping[str, str] | None = None
    cpu_flags: tuple[str, ...] = ()
    agreement: float = 1.0
    difference: float | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class Profile:
    """One kind of hardware.

    Attributes:
        name: of the folder.
        summary: what machines it is for, in a few words.
        rank: `--hardware auto` takes the highest one that the build host has; 0 is never taken.
        gpu: whether an NVIDIA GPU is needed.
        fallback: the profile whose fp32 serves on a machine without this one's hardware.
        backends: of ours, in the embedded server.
        superfluous: files of its packages that no server needs, as patterns in site-packages.
        needed: those of them that it does need.
        libraries: shared ones of its packages that are found in the server's lib/ only.
        providers: of ONNX Runtime, that a cut-down image of NVIDIA's keeps beside the CPU's.
        length_multiple: token rows are filled up to a multiple of this, for engines that prepare
            themselves anew for each length.
        cpu_flags: of /proc/cpuinfo, of which `--hardware auto` wants one.
        oldest: release of a server, where it must be newer than the server's own oldest.
        cuda: oldest version of CUDA that the driver must serve, by server; "" for any.
        platforms: of images, as docker names them.
        servers: by which it can be served; the first is the default.
        precisions: by name; the first is the default.
        auto: what `--precision auto` tries.
        unfit: why a precision, server or platform that other profiles have is not one of these.
    """

    name: str
    summary: str
    rank: int
    gpu: bool
    platforms: tuple[str, ...]
    servers: tuple[str, ...]
    precisions: Mapping[str, Precision]
    auto: tuple[str, ...]
    unfit: Mapping[str, str]
    fallback: str = "cpu"
    backends: tuple[str, ...] = ("onnxruntime",)
    superfluous: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    length_multiple: int = 1
    cpu_flags: tuple[str, ...] = ()
    cuda: Mapping[str, str] | None = None
    oldest: Mapping[str, str] | None = None

    @property
    def engine_file(self) -> Path:
        """What the profile says in model_onnx/config.pbtxt."""
        return PROFILES / self.name / "engine.pbtxt"

    @property
    def lock_file(self) -> Path:
        """The packages of the embedded server."""
        return PROFILES / self.name / "requirements.txt"

    def precision(self, name: str) -> Precision:
        """One of the profile's.

        Raises:
            UsageError: it has no such precision.
        """
        if name not in self.precisions:
            raise UsageError(
                f"--hardware {self.name}",
                f"has no {name}",
                f"possible: {', '.join(self.precisions)}",
            )
        return self.precisions[name]

    def falls_back(self, precision: str) -> bool:
        """Whether the fallback is another engine: the same one would lack the same."""
        plain = self.precisions[PLAIN].engine
        return self.fallback != self.name or self.precisions[precision].engine != plain

    def needs(self, precision: str, server: str) -> dict[str, Any]:
        """What the machine that serves must have, as server/bin/machine.py reads it."""
        return {
            "gpu": self.gpu,
            "cuda": (self.cuda or {}).get(server, "0.0"),
            "cpu_flags": list(self.precisions[precision].cpu_flags),
        }


def profile_names() -> list[str]:
    """All profiles, the default first."""
    names = sorted(path.parent.name for path in PROFILES.glob("*/profile.toml"))
    return sorted(names, key=lambda name: name != "cpu")


def read_profile(name: str) -> Profile:
    """The profile of a name that `profile_names` has.

    Raises:
        UserError: its file is not of the form above.
    """
    path = PROFILES / name / "profile.toml"

    def parse(data: dict[str, Any]) -> Profile:
        precisions = {
            key: read_fields(Precision, value) for key, value in data.pop("precision").items()
        }
        profile = read_fields(Profile, {"name": name, "precisions": precisions, **data})
        if not {PLAIN, *profile.auto} <= set(precisions) or not profile.servers:
            raise ValueError("fp32 or a precision of auto is missing, or there is no server")
        return profile

    return read_toml(path, parse)


def read_toml(path: Path, parse: Callable[[dict[str, Any]], _Form]) -> _Form:
    """A file of data, parsed.

    Raises:
        UserError: it is absent, or no TOML of that form.
    """
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(path, f"cannot be read: {error}") from error


def read_fields(form: type[_Form], data: Mapping[str, Any]) -> _Form:
    """A dataclass out of a table; lists become tuples.

    Raises:
        ValueError: a key that the dataclass has not.
        TypeError: one that it must have is absent.
    """
    unknown = set(data) - {field.name for field in fields(form)}  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return form(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    )
