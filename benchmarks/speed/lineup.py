"""Who is measured: the product at each precision, and who else can be started."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.imdb import CACHE, ImdbModel
from benchmarks.speed.rendered import rendered
from benchmarks.speed.servers import prepare, serving
from benchmarks.speed.services import Service, product
from utils.errors import UsageError, UserError

PRECISIONS = ("fp32", "int8")


def products(
    name: str, model: Path, imdb: ImdbModel, given: dict[str, Path]
) -> tuple[list[Service], dict[str, str]]:
    """The product in each precision, joined and not, and why one was not built; fp32 has to be."""
    services, refused = [], {}
    for precision in PRECISIONS:
        try:
            if name == "minilm":
                repository = given.get(precision) or rendered(model, precision, imdb.samples, CACHE)
            else:
                repository = rendered(model, precision, None, CACHE)
        except UserError as error:
            if precision == PRECISIONS[0]:
                raise
            print(f"warning: {error}", file=sys.stderr)
            refused[f"{name} {precision}"] = str(error)
            continue
        services.append(product(repository, precision))
        services.append(product(repository, precision, separate_steps=True))
    return services, refused


def is_prepared(model: str, service: Service, cpus: Sequence[int], refused: dict[str, str]) -> bool:
    """Whether a service starts, once it has done what it has to before; if not, why.

    Its first start reads gigabytes of packages from the disk, or does not, if it was lately used:
    only the next one can be timed.
    """
    print(f"{model}: {service.name} is prepared", file=sys.stderr)
    try:
        prepare(service)
        with serving(service, cpus):
            pass
    except (UserError, OSError) as error:
        if service.group != "peer":
            raise
        refused[f"{model} {service.name}"] = str(error)
        return False
    return True


def given_repositories(values: Sequence[str]) -> dict[str, Path]:
    """Precision to a rendered repository, from PRECISION=DIR.

    Raises:
        UsageError: it is something else.
    """
    pairs = [value.partition("=") for value in values]
    for precision, _, folder in pairs:
        if precision not in PRECISIONS or not Path(folder).is_dir():
            raise UsageError("--repository", f"takes PRECISION=DIR, not '{precision}={folder}'")
    return {precision: Path(folder).absolute() for precision, _, folder in pairs}
