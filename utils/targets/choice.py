"""What the user asks for, against what there is."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from utils.errors import UsageError
from utils.targets.machine import Machine, missing
from utils.targets.profiles import PLAIN, Precision, Profile, profile_names, read_profile
from utils.targets.servers import ServerKind, read_server, server_names

AUTO = "auto"

# docker's names for what `uname -m` says.
PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}

RELEASE = re.compile(r"[0-9]{2}\.[0-9]{2}(@sha256:[0-9a-f]{64})?")


@dataclass(frozen=True)
class Wish:
    """What the command line says; "" leaves the choice to the profile.

    Attributes:
        hardware: a profile, or auto.
        precision: one of the profile's, or auto.
        server: name, or name:release with or without a digest.
        platform: as docker names it.
        registry: host and path that takes the place of each image's registry.
    """

    hardware: str
    precision: str
    server: str
    platform: str
    registry: str


@dataclass(frozen=True)
class Target:
    """What an image is made for.

    Attributes:
        profile: the hardware.
        precisions: to try, one of them unless the user lets the build choose.
        server: what it is built on.
        release: of the server; "" where there is only one.
        platform: as docker names it.
        base_image: reference.
        slim_base: what parts of it are copied to, if they are.
        suite: Debian's release to bootstrap one of where that cannot be pulled; "" for never.
        lacks: what this machine has not of what the target needs, in words.
        foreign: whether it is for another processor, whose programs this one does not run.
    """

    profile: Profile
    precisions: Mapping[str, Precision]
    server: ServerKind
    release: str
    platform: str
    base_image: str
    slim_base: str
    suite: str
    lacks: str
    foreign: bool

    @property
    def embedded(self) -> str:
        """The profile whose packages can serve a repository on this machine."""
        there = self.profile.lock_file.is_file() and not self.lacks
        return self.profile.name if there else self.profile.fallback

    @property
    def plain(self) -> bool:
        """Whether the exported graph is served as it is, to the last digits."""
        return all(
            name == PLAIN and precision.tolerance is None
            for name, precision in self.precisions.items()
        )


def choose(wish: Wish, machine: Machine) -> Target:
    """The target of a wish.

    Raises:
        UsageError: there is no such thing, or not together; names what is possible.
    """
    host = PLATFORMS.get(machine.architecture, f"linux/{machine.architecture}")
    profile = read_profile(_hardware(wish.hardware, machine))
    subject = f"--hardware {profile.name}"
    server_name, _, release = (wish.server or profile.servers[0]).partition(":")
    _check("--server", server_name, server_names(), profile.servers, profile, subject)
    server = read_server(server_name)
    platform = wish.platform or host
    everywhere = sorted({name for other in _profiles() for name in other.platforms})
    _check("--platform", platform, everywhere, profile.platforms, profile, subject)
    if platform not in server.platforms:
        raise UsageError(
            f"--platform {platform}",
            f"not with --server {server.name}",
            f"possible: {', '.join(server.platforms)}",
        )
    precisions = _precisions(wish.precision, profile, machine, subject)
    release, at, digest = _release(release, server, profile).partition("@")
    image = server.base_image.format(release=release) + at + digest
    precision = next(iter(precisions))
    lacks = missing(machine, profile.needs(precision, server.name))
    if lacks and not profile.falls_back(precision):
        raise UsageError(
            f"--precision {precision}",
            f"cannot be checked here, {lacks}",
            f"possible: {profile.fallback} in {PLAIN}, or a machine that has it",
        )
    foreign = platform != host
    if foreign:
        lacks = f"this machine is {host}"
    return Target(
        profile=profile,
        precisions=precisions,
        server=server,
        release=release,
        platform=platform,
        base_image=mirrored(image, wish.registry),
        slim_base=mirrored(server.slim_base, wish.registry) if server.slim_base else "",
        # Who names a registry does not want something else instead.
        suite="" if wish.registry else server.suite,
        lacks=lacks,
        foreign=foreign,
    )


def mirrored(image: str, registry: str) -> str:
    """A reference with its registry replaced; Docker Hub's short names get their long form.

    A reference's first part is a registry if it has a dot or a colon, or is localhost
    (splitDockerDomain of github.com/distribution/reference).
    """
    if not registry:
        return image
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        image = rest
    elif not slash:
        image = f"library/{image}"
    return f"{registry.rstrip('/')}/{image}"


def _profiles() -> list[Profile]:
    return [read_profile(name) for name in profile_names()]


def _hardware(name: str, machine: Machine) -> str:
    names = profile_names()
    if name != AUTO:
        if name not in names:
            raise UsageError(
                f"--hardware {name[:80]!r}", "no such profile", f"possible: {_list([*names, AUTO])}"
            )
        return name
    fitting = [
        profile
        for profile in _profiles()
        if profile.rank
        and PLATFORMS.get(machine.architecture) in profile.platforms
        and not missing(
            machine,
            {
                **profile.needs(next(iter(profile.precisions)), profile.servers[0]),
                "cpu_flags": profile.cpu_flags,
            },
        )
    ]
    if not fitting:
        raise UsageError(
            "--hardware auto", "no profile fits this machine", f"one of {_list(names)}"
        )
    return max(fitting, key=lambda profile: profile.rank).name


def _precisions(
    name: str, profile: Profile, machine: Machine, subject: str
) -> dict[str, Precision]:
    if name == AUTO:
        return {
            key: profile.precisions[key]
            for key in profile.auto
            if not missing(machine, {"cpu_flags": profile.precisions[key].cpu_flags})
        }
    chosen = name or next(iter(profile.precisions))
    everywhere = {key for other in _profiles() for key in other.precisions}
    _check("--precision", chosen, [*sorted(everywhere), AUTO], profile.precisions, profile, subject)
    return {chosen: profile.precisions[chosen]}


def _check(
    option: str,
    value: str,
    known: Iterable[str],
    possible: Iterable[str],
    profile: Profile,
    subject: str,
) -> None:
    if value in possible:
        return
    if value not in known:
        raise UsageError(
            f"{option} {value[:80]!r}", "there is no such", f"possible: {_list(known)}"
        )
    reason = profile.unfit.get(value, "")
    raise UsageError(
        f"{option} {value}",
        f"not with {subject}" + (f", {reason}" if reason else ""),
        f"possible: {_list(possible)}",
    )


def _release(wanted: str, server: ServerKind, profile: Profile) -> str:
    if not wanted:
        return server.release
    if not server.release:
        raise UsageError(f"--server {server.name}:{wanted[:80]}", "has no releases to choose from")
    if not RELEASE.fullmatch(wanted):
        raise UsageError(
            f"--server {server.name}:{wanted[:80]}",
            "is no release",
            f"such as {server.name}:{server.release}, or with @sha256:…",
        )
    oldest = max(server.oldest, (profile.oldest or {}).get(server.name, ""))
    if wanted < oldest:
        raise UsageError(
            f"--server {server.name}:{wanted[:80]}",
            f"not with --hardware {profile.name}",
            f"possible: {oldest} and later",
        )
    return wanted


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
