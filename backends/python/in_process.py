"""Loads models and runs them when the server says so; in_process.c is the other half."""

import importlib.util
import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import monotonic_ns
from types import ModuleType
from typing import Any

from own_modules import modules_of
from triton_native import (
    EXECUTE,
    LOAD,
    MAX_ERROR_BYTES,
    PREFERRED_INSTANCES,
    UNLOAD,
    CInstance,
    CRequest,
    CTimes,
    native,
)
from triton_python_backend_utils import (
    InferenceRequest,
    TritonError,
    TritonModelException,
    using_decoupled_model_transaction_policy,
)

# TRITONSERVER_InstanceGroupKind
KINDS = ("AUTO", "CPU", "GPU", "MODEL")

Pointer = Any

_models: dict[int, Any] = {}
_modules: dict[Path, ModuleType] = {}
_handles = count(1)

# Callbacks live as long as the server may call them.
_callbacks: list[Callable[..., Any]] = []


def start(library: str) -> None:
    """Tell in_process.c, which is in `library`, what to call."""
    _callbacks[:] = [
        PREFERRED_INSTANCES(preferred_instances),
        LOAD(load),
        EXECUTE(execute),
        UNLOAD(unload),
    ]
    native.open(library).register_host(*_callbacks)


def preferred_instances(backend_folder: bytes) -> int:
    """Instances of a model of this backend whose configuration leaves them open.

    A Python-based backend may say so in its model.py, with a function of that name.
    """
    path = Path(backend_folder.decode(), "model.py")
    if not path.is_file():
        return 1
    try:
        return int(getattr(_module(path), "preferred_instances", lambda: 1)())
    except BaseException:
        traceback.print_exc()
        return 1


def load(pointer: Pointer) -> int:
    """Make the model of one instance; 0 and an error in the structure if that fails."""
    instance: CInstance = pointer.contents
    try:
        arguments = _arguments(instance)
        config = json.loads(arguments["model_config"])
        if using_decoupled_model_transaction_policy(config):
            raise TritonModelException("decoupled models are not supported by this server")
        backend = instance.backend.decode()
        folder = Path(arguments["model_repository"], arguments["model_version"])
        if backend != "python":
            folder = Path(instance.backend_folder.decode())
        with modules_of(folder):
            model = _module(folder / "model.py").TritonPythonModel()
            if hasattr(model, "initialize"):
                model.initialize(arguments)
    # Of a model's own code, anything at all; it must not go on into C.
    except BaseException as error:
        if not isinstance(error, TritonModelException):
            traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, TritonModelException):
            reason = str(error)
        message = f"unable to load model '{instance.model.decode()}': {reason}"
        instance.error = message.encode(errors="replace")[: MAX_ERROR_BYTES - 1]
        return 0
    handle = next(_handles)
    _models[handle] = model
    return handle


def execute(handle: int, pointers: Pointer, number: int) -> None:
    """Let a model answer requests."""
    model = _models[handle]
    started_ns = monotonic_ns()
    requests: list[InferenceRequest] = []
    for pointer in pointers[:number]:
        request = _request(pointer)
        if request is not None:
            requests.append(request)
    if not requests:
        return
    try:
        responses = model.execute(requests)
        # Without responses there is somebody who has the senders.
        if responses is not None:
            requests[0].count_run(_texts(requests), started_ns, monotonic_ns())
            for request, response in zip(requests, responses, strict=True):
                request.send(response)
    except BaseException as error:
        traceback.print_exc()
        for request in requests:
            # It may have its response, or get one meanwhile.
            with suppress(TritonModelException):
                request.fail(f"{type(error).__name__}: {error}")


def unload(handle: int) -> None:
    """Let a model finish what it has begun."""
    model = _models.pop(handle)
    try:
        if hasattr(model, "finalize"):
            model.finalize()
    except BaseException:
        traceback.print_exc()


def _texts(requests: list[InferenceRequest]) -> int:
    """Rows of all requests, by their first inputs."""
    return sum(
        (tensors[0].as_numpy().shape or (1,))[0]
        for request in requests
        if (tensors := request.inputs())
    )


def _arguments(instance: CInstance) -> dict[str, str]:
    """What `initialize` gets, by python_backend's README."""
    return {
        "model_config": instance.config.decode(),
        "model_instance_kind": KINDS[instance.kind],
        "model_instance_name": instance.name.decode(),
        "model_instance_device_id": str(instance.device_id),
        "model_repository": instance.model_folder.decode(),
        "model_version": str(instance.version),
        "model_name": instance.model.decode(),
    }


def _request(pointer: CRequest) -> InferenceRequest | None:
    """A request, unless its tensors cannot be read; then it has its answer."""
    try:
        return InferenceRequest(pointer)
    except Exception as error:
        times = CTimes(pointer.started_ns, pointer.started_ns, 0)
        message = str(error).encode()
        native.respond(
            pointer.request, pointer.instance, times, None, 0, message, TritonError.INVALID_ARG
        )
        return None


def _module(path: Path) -> ModuleType:
    """A model's own module, one for all its instances, with the modules beside it to itself.

    Raises:
        TritonModelException: there is no such file.
    """
    if path not in _modules:
        spec = importlib.util.spec_from_file_location(f"model_{len(_modules)}", path)
        if spec is None or spec.loader is None or not path.is_file():
            raise TritonModelException(f"{path} not found")
        module = importlib.util.module_from_spec(spec)
        with modules_of(path.parent):
            spec.loader.exec_module(module)
        _modules[path] = module
    return _modules[path]
