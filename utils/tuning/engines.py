"""How many texts an engine works on at once, and with how many threads each: the ways to try.

All are parameters that the embedded server's backends read; only `caller_threads` is unknown to
the official ones. None counts this machine's processors where it need not: 0 is "all there are",
so that a tuned repository fits a machine of another size too.
"""

from collections.abc import Mapping

from utils.errors import UserError

Parameters = Mapping[str, str]

# Requests on their way to a GPU at once.
GPU_CALLERS = (1, 2, 4)

# Whoever has set one of these has chosen already.
OPENVINO_CHOSEN = ("NUM_STREAMS", "PERFORMANCE_HINT", "INFERENCE_NUM_THREADS")

PER_CALL = "intra_op_thread_count"
CALLERS = "caller_threads"
TUNED = (CALLERS, PER_CALL)


def ways(backend: str, gpu: bool, parameters: Parameters, cpus: int) -> list[dict[str, str]]:
    """What to set, the least changed first.

    Args:
        backend: of the graph's configuration.
        gpu: whether it runs on one.
        parameters: all of the configuration.
        cpus: for this model.

    Raises:
        UserError: an engine that nothing is known of.
    """
    if backend == "onnxruntime" and gpu:
        return [{CALLERS: str(callers)} for callers in GPU_CALLERS]
    if backend == "onnxruntime":
        # NVIDIA's backend runs one text at a time: 1 would be one thread for all of them.
        return [
            {CALLERS: "0", PER_CALL: str(threads) if threads > 1 else "0"}
            for threads in _powers_of_two(cpus)
        ]
    if backend == "openvino":
        chosen = any(name in parameters for name in OPENVINO_CHOSEN)
        return [] if chosen else [{CALLERS: callers} for callers in ("0", "1")]
    raise UserError(f"backend {backend!r}", "cannot be tuned", "onnxruntime or openvino")


def title(backend: str, gpu: bool, parameters: Parameters, cpus: int) -> str:
    """Texts at once x threads for each, as these parameters mean it here."""
    callers, per_call = (_number(parameters, *item) for item in ((CALLERS, 1), (PER_CALL, 0)))
    if gpu:
        return f"{max(1, callers)} to the GPU"
    if backend == "openvino":
        if any(name in parameters for name in OPENVINO_CHOSEN):
            return "as configured"
        return f"{cpus} x 1" if callers == 0 else f"1 x {cpus}"
    if callers:
        return f"{callers} x {per_call or cpus}"
    per_call = max(1, per_call)
    return f"{max(1, cpus // per_call)} x {per_call}"


def _number(parameters: Parameters, name: str, default: int) -> int:
    text = parameters.get(name, str(default))
    if not text.isdecimal():
        raise UserError(f"parameter {name!r}", f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _powers_of_two(most: int) -> list[int]:
    """1, 2, 4, … and `most` itself."""
    found = [1]
    while found[-1] < most:
        found.append(min(most, found[-1] * 2))
    return found
