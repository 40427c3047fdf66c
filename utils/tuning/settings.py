"""What is tuned: fields of model_onnx/config.pbtxt that decide how fast it answers, never what."""

from dataclasses import dataclass

from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from utils.tuning.engines import TUNED, title, ways

# Microseconds that a text may wait for others.
DELAYS = (500, 2000)


@dataclass(frozen=True)
class Settings:
    """A point of the search.

    Attributes:
        threads: texts at once x threads for each, in words.
        parameters: of the engine, those that say so.
        together: whether texts of several requests may share a run (dynamic_batching).
        delay: microseconds that a text waits for others (max_queue_delay_microseconds).
    """

    threads: str
    parameters: tuple[tuple[str, str], ...]
    together: bool
    delay: int

    @property
    def batching(self) -> str:
        """In words."""
        if not self.together:
            return "alone"
        return f"together, wait {self.delay / 1000:g} ms" if self.delay else "together"

    @property
    def name(self) -> str:
        """In words, unique among those that are tried."""
        return f"{self.threads}, {self.batching}"


def current(config: ModelConfig, cpus: int) -> Settings:
    """What a configuration says."""
    parameters = _parameters(config)
    written = {name: parameters[name] for name in TUNED if name in parameters}
    return _settings(config, written, cpus, *_batching(config))


def candidates(config: ModelConfig, cpus: int) -> list[Settings]:
    """What to try, the current settings first and then the likeliest.

    Args:
        config: the graph's.
        cpus: that the server may use.

    Raises:
        UserError: an engine that nothing is known of.
    """
    now = _batching(config)
    batching = [now]
    # A run of one text has nothing to share, whoever waits.
    if config.max_batch_size > 1:
        batching += [(True, 0), (False, 0), *((True, delay) for delay in DELAYS)]
    share = _share(config, cpus)
    threads = ways(config.backend, on_gpu(config), _parameters(config), share) or [{}]
    found = [current(config, cpus)]
    for together, delay in dict.fromkeys(batching):
        found += [_settings(config, way, cpus, together, delay) for way in threads]
    unique: dict[str, Settings] = {}
    for settings in found:
        # One way may be written in two forms; the form that is there stays.
        unique.setdefault(settings.name, settings)
    return list(unique.values())


def on_gpu(config: ModelConfig) -> bool:
    """Whether the graph runs on one."""
    return any(group.kind == ModelInstanceGroup.KIND_GPU for group in config.instance_group)


def _settings(
    config: ModelConfig, way: dict[str, str], cpus: int, together: bool, delay: int
) -> Settings:
    parameters = _parameters(config) | way
    return Settings(
        threads=title(config.backend, on_gpu(config), parameters, _share(config, cpus)),
        parameters=tuple(way.items()),
        together=together,
        delay=delay,
    )


def _batching(config: ModelConfig) -> tuple[bool, int]:
    return (
        config.HasField("dynamic_batching"),
        int(config.dynamic_batching.max_queue_delay_microseconds),
    )


def _parameters(config: ModelConfig) -> dict[str, str]:
    return {name: value.string_value for name, value in config.parameters.items()}


def _share(config: ModelConfig, cpus: int) -> int:
    instances = sum(max(1, int(group.count)) for group in config.instance_group)
    return max(1, cpus // max(1, instances))
