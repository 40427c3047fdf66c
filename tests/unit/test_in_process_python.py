"""backends/python's Python, without a server: what in_process.c would be told, and when."""

import ctypes
import gc
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.commands import ROOT

Array = npt.NDArray[Any]

FOLDER = ROOT / "backends" / "python"
MODULES = ("in_process", "triton_native", "triton_python_backend_utils")

# TRITONSERVER_DataType
BOOL, INT64, FP32, BYTES, BF16 = 1, 9, 11, 13, 14
NUMBERS = {
    "bool": BOOL,
    **{"uint8": 2, "uint16": 3, "uint32": 4, "uint64": 5},
    **{"int8": 6, "int16": 7, "int32": 8, "int64": INT64},
    **{"float16": 10, "float32": FP32, "float64": 12},
}
INVALID_ARG = 3


@dataclass
class Response:
    """What in_process.c was told of a request."""

    outputs: dict[str, tuple[int, list[int], bytes]]
    error: str | None
    code: int
    times: tuple[int, int, int]


@dataclass
class Server:
    """Stands in for in_process.c."""

    responses: dict[int, list[Response]] = field(default_factory=dict)
    runs: list[tuple[int, int, int, int]] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)

    def respond(
        self, request: int, _: int, times: Any, outputs: Any, count: int, error: Any, code: int
    ) -> None:
        """As the function of that name."""
        tensors = {
            item.name.decode(): (
                item.datatype,
                item.shape[: item.dims_count],
                ctypes.string_at(item.data, item.byte_size),
            )
            for item in (outputs[:count] if count else ())
        }
        message = None if error is None else error.decode()
        seen = (times.started_ns, times.compute_started_ns, times.compute_ended_ns)
        self.responses.setdefault(request, []).append(Response(tensors, message, code, seen))

    def report_run(self, *run: int) -> None:
        """As the function of that name."""
        self.runs.append(run)  # type: ignore[arg-type]

    def is_cancelled(self, request: int) -> bool:
        """As the function of that name."""
        return request in self.cancelled

    def log_message(self, level: int, message: bytes) -> None:
        """As the function of that name."""
        self.lines.append((level, message.decode()))

    def only(self, request: int) -> Response:
        """The one response of a request."""
        (response,) = self.responses[request]
        return response

    def errors(self) -> list[str | None]:
        """Of the one response of each request, in the requests' order."""
        return [self.only(number).error for number in sorted(self.responses)]


class Backend:
    """The modules, imported anew, with a server of their own."""

    in_process: Any
    triton_native: Any
    triton_python_backend_utils: Any

    def __init__(self) -> None:
        for name in MODULES:
            setattr(self, name, __import__(name))
        self.utils = self.triton_python_backend_utils
        self.server = Server()
        native = self.triton_native.native
        for name in ("respond", "report_run", "is_cancelled", "log_message"):
            setattr(native, name, getattr(self.server, name))

    def tensor(self, name: str, datatype: int, shape: list[int], data: bytes) -> Any:
        """An input as the server has it."""
        buffer = ctypes.create_string_buffer(data, len(data)) if data else None
        return self.triton_native.CTensor(
            name.encode(),
            (ctypes.c_int64 * len(shape))(*shape),
            ctypes.cast(buffer, ctypes.c_void_p) if buffer else None,
            len(data),
            datatype,
            len(shape),
        )

    def described(
        self, number: int, inputs: list[Any] | None = None, outputs: tuple[str, ...] = ("out",)
    ) -> Any:
        """A request as in_process.c describes it."""
        tensors = [self.texts(b"text")] if inputs is None else inputs
        return self.triton_native.CRequest(
            number,
            7,
            b"an id",
            (self.triton_native.CTensor * len(tensors))(*tensors),
            (ctypes.c_char_p * len(outputs))(*(name.encode() for name in outputs)),
            100,
            len(tensors),
            len(outputs),
        )

    def request(self, number: int = 1, **options: Any) -> Any:
        """A request as models see it."""
        return self.utils.InferenceRequest(self.described(number, **options))

    def texts(self, *rows: bytes) -> Any:
        """A tensor of texts, one a row."""
        return self.tensor("text", BYTES, [len(rows), 1], encoded(*rows))

    def load(self, folder: Path, config: str = "{}", **changes: Any) -> tuple[int, str]:
        """The handle of a model of FOLDER/1, and its error."""
        fields: dict[str, Any] = {
            "backend": b"python",
            "backend_folder": b"/no/such/folder",
            "model": folder.name.encode(),
            "model_folder": str(folder).encode(),
            "config": config.encode(),
            "name": f"{folder.name}_0".encode(),
            "version": 1,
            "kind": 1,
            "device_id": 0,
        }
        instance = self.triton_native.CInstance(**(fields | changes))
        handle = self.in_process.load(ctypes.pointer(instance))
        return handle, instance.error.decode()

    def refusal(self, folder: Path, config: str = "{}", **changes: Any) -> str:
        """Why a model is not loaded."""
        handle, error = self.load(folder, config, **changes)
        assert handle == 0
        start = f"unable to load model '{folder.name}': "
        assert error.startswith(start)
        return error.removeprefix(start)

    def loaded(self, folder: Path, source: str) -> int:
        """The handle of a model whose model.py is SOURCE."""
        handle, error = self.load(model_folder(folder, source))
        assert (handle > 0, error) == (True, "")
        return handle

    def execute(self, handle: int, *requests: Any) -> None:
        """As in_process.c calls it."""
        pointers = (self.triton_native.CRequest * len(requests))(*requests)
        self.in_process.execute(handle, pointers, len(requests))


@pytest.fixture
def backend() -> Iterator[Backend]:
    """The backend; nothing of it stays, for its modules are called as the stub of other tests."""
    with isolated() as made:
        yield made


class isolated:  # noqa: N801, it is used as a function
    """A context in which the backend's modules can be imported."""

    def __enter__(self) -> Backend:
        self._patch = pytest.MonkeyPatch()
        self._patch.syspath_prepend(str(FOLDER))
        for name in MODULES:
            self._patch.delitem(sys.modules, name, raising=False)
        return Backend()

    def __exit__(self, *_: object) -> None:
        for name in MODULES:
            sys.modules.pop(name, None)
        self._patch.undo()


def encoded(*rows: bytes) -> bytes:
    """The buffer of a BYTES tensor, by the protocol."""
    return b"".join(len(row).to_bytes(4, "little") + row for row in rows)


def model_folder(folder: Path, source: str, **neighbours: str) -> Path:
    """A model with one version, and modules beside its model.py."""
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(source)
    for name, text in neighbours.items():
        (folder / "1" / f"{name}.py").write_text(text)
    return folder


def model(execute: str, before: str = "", initialize: str = "pass") -> str:
    """A model.py."""
    return f"""\
import numpy as np
import triton_python_backend_utils as pb_utils
{before}
def answer(value=1):
    return pb_utils.InferenceResponse([pb_utils.Tensor("out", np.array([value], np.int64))])
class TritonPythonModel:
    def initialize(self, args):
        {initialize}
    def execute(self, requests):
        {execute}
"""


@pytest.fixture(scope="module")
def codec() -> Iterator[Any]:
    """triton_python_backend_utils, for what needs no server."""
    with isolated() as made:
        yield made.utils


@given(rows=st.lists(st.binary(max_size=40)))
def test_bytes_come_out_as_they_went_in(rows: list[bytes], codec: Any) -> None:
    array = np.array([*rows, None], np.object_)[:-1]
    buffer = codec.serialize_byte_tensor(array)
    assert buffer == encoded(*rows)
    assert codec.deserialize_bytes_tensor(buffer).tolist() == rows


@given(rows=st.lists(st.binary(max_size=10), min_size=1), cut=st.integers(1, 3))
def test_a_bytes_buffer_that_ends_too_early_is_refused(
    rows: list[bytes], cut: int, codec: Any
) -> None:
    with pytest.raises(ValueError, match="shorter than it says"):
        codec.deserialize_bytes_tensor(encoded(*rows)[:-cut])


@pytest.mark.parametrize(
    "buffer", [b"\1", b"\0\0\0", b"\1\0\0\0", b"\xff\xff\xff\xff", encoded(b"a") + b"\0"]
)
def test_a_bytes_buffer_that_is_none_is_refused(buffer: bytes, codec: Any) -> None:
    with pytest.raises(ValueError, match="shorter than it says"):
        codec.deserialize_bytes_tensor(buffer)


def test_bytes_of_any_shape_are_written_row_by_row_text_as_utf_8(codec: Any) -> None:
    array = np.array([["да", b"\xff"], ["", 7]], np.object_)
    assert codec.serialize_byte_tensor(array) == encoded("да".encode(), b"\xff", b"", b"7")


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_tensors_of_every_type_are_read_and_written(name: str, backend: Backend) -> None:
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(name)
    given = backend.tensor("in", NUMBERS[name], [2, 3], array.tobytes())
    request = backend.request(inputs=[given])
    (tensor,) = request.inputs()
    assert tensor.as_numpy().dtype == array.dtype
    np.testing.assert_array_equal(tensor.as_numpy(), array)
    request.send(backend.utils.InferenceResponse([backend.utils.Tensor("out", tensor.as_numpy())]))
    assert backend.server.only(1).outputs == {"out": (NUMBERS[name], [2, 3], array.tobytes())}


def test_texts_are_read_and_written(backend: Backend) -> None:
    request = backend.request(inputs=[backend.texts(b"one", "два".encode())])
    array = backend.utils.get_input_tensor_by_name(request, "text").as_numpy()
    assert array.tolist() == [[b"one"], ["два".encode()]]
    request.send(backend.utils.InferenceResponse([backend.utils.Tensor("out", array)]))
    buffer = encoded(b"one", "два".encode())
    assert backend.server.only(1).outputs == {"out": (BYTES, [2, 1], buffer)}


@pytest.mark.parametrize("datatype", [INT64, BYTES])
def test_an_empty_tensor_has_no_values_in_its_shape(datatype: int, backend: Backend) -> None:
    request = backend.request(inputs=[backend.tensor("in", datatype, [0, 3], b"")])
    array = backend.utils.get_input_tensor_by_name(request, "in").as_numpy()
    assert array.shape == (0, 3)
    request.send(backend.utils.InferenceResponse([backend.utils.Tensor("out", array)]))
    assert backend.server.only(1).outputs == {"out": (datatype, [0, 3], b"")}


def test_an_input_is_a_copy_of_what_the_server_has(backend: Backend) -> None:
    values = np.array([1, 2], np.int64)
    tensor = backend.tensor("in", INT64, [2], b"")
    tensor.data, tensor.byte_size = values.ctypes.data, values.nbytes
    request = backend.request(inputs=[tensor])
    values.fill(0)
    assert request.inputs()[0].as_numpy().tolist() == [1, 2]
    request.fail("")


def test_an_output_is_written_in_order_whatever_it_is_a_view_of(backend: Backend) -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3).T[::-1]
    backend.request().send(backend.utils.InferenceResponse([backend.utils.Tensor("out", array)]))
    (_, shape, data) = backend.server.only(1).outputs["out"]
    assert np.frombuffer(data, np.int64).reshape(shape).tolist() == array.tolist()


def test_a_request_has_its_id_its_wanted_outputs_and_its_inputs(backend: Backend) -> None:
    request = backend.request(outputs=("labels", "scores"))
    assert request.request_id() == "an id"
    assert request.requested_output_names() == ["labels", "scores"]
    assert [tensor.name() for tensor in request.inputs()] == ["text"]
    assert backend.utils.get_input_tensor_by_name(request, "other") is None
    request.fail("")


def test_a_request_that_nobody_answers_gets_an_error_when_it_is_collected(
    backend: Backend,
) -> None:
    request = backend.request()
    assert backend.server.responses == {}
    del request
    gc.collect()
    assert backend.server.errors() == ["the model gave no response"]


def test_a_second_answer_is_refused_and_not_sent(backend: Backend) -> None:
    request = backend.request()
    response = backend.utils.InferenceResponse([])
    request.send(response)
    with pytest.raises(backend.utils.TritonModelException, match="has its response already"):
        request.send(response)
    with pytest.raises(backend.utils.TritonModelException, match="has its response already"):
        request.fail("late")
    del request
    gc.collect()
    assert backend.server.only(1).error is None


@pytest.mark.parametrize("flags", [0, 2, 3])
def test_an_answer_that_is_not_to_be_the_last_is_refused(flags: int, backend: Backend) -> None:
    request = backend.request()
    with pytest.raises(backend.utils.TritonModelException, match="one response"):
        request.get_response_sender().send(backend.utils.InferenceResponse([]), flags)
    assert not request.answered
    request.fail("")


def test_an_output_of_a_type_that_triton_has_not_leaves_the_request_to_be_answered(
    backend: Backend,
) -> None:
    request = backend.request()
    tensor = backend.utils.Tensor("out", np.zeros(1, np.complex64))
    with pytest.raises(KeyError):
        request.send(backend.utils.InferenceResponse([tensor]))
    request.fail("no such type")
    assert backend.server.errors() == ["no such type"]


def test_an_error_is_sent_with_its_text_and_code(backend: Backend) -> None:
    error = backend.utils.TritonError("нет\0такого", backend.utils.TritonError.NOT_FOUND)
    backend.request().send(backend.utils.InferenceResponse(error=error))
    response = backend.server.only(1)
    assert (response.error, response.code) == ("нет?такого", 2)


def test_an_answered_request_counts_as_one_that_nobody_waits_for(backend: Backend) -> None:
    request = backend.request()
    assert not request.is_cancelled()
    backend.server.cancelled.add(1)
    assert request.is_cancelled()
    backend.server.cancelled.clear()
    request.fail("")
    assert request.is_cancelled()


def test_times_are_those_of_the_call_unless_the_model_says(backend: Backend) -> None:
    backend.request(1).fail("")
    assert backend.server.only(1).times == (100, 100, 0)
    request = backend.request(2)
    request.set_times(150, 160, 170)
    request.fail("")
    assert backend.server.only(2).times == (150, 160, 170)


def test_log_lines_have_their_levels(backend: Backend) -> None:
    logger = backend.utils.Logger
    for write in (logger.log_info, logger.log_warn, logger.log_error, logger.log):
        write("строка")
    assert backend.server.lines == [(level, "строка") for level in (0, 1, 2, 0)]


def test_a_model_is_told_what_the_official_backend_tells_it(
    backend: Backend, tmp_path: Path
) -> None:
    source = model("pass", initialize="raise pb_utils.TritonModelException(repr(args))")
    folder = model_folder(tmp_path / "mine", source)
    assert backend.refusal(folder, '{"name": "mine"}', kind=2, device_id=3) == repr(
        {
            "model_config": '{"name": "mine"}',
            "model_instance_kind": "GPU",
            "model_instance_name": "mine_0",
            "model_instance_device_id": "3",
            "model_repository": str(folder),
            "model_version": "1",
            "model_name": "mine",
        }
    )


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        ('pb_utils.TritonModelException("no such label")', "no such label"),
        ('KeyError("label")', "KeyError: 'label'"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("KeyboardInterrupt", "KeyboardInterrupt: "),
    ],
)
def test_what_a_model_raises_while_it_is_loaded_is_its_error(
    raised: str, error: str, backend: Backend, tmp_path: Path
) -> None:
    source = model("pass", initialize=f"raise {raised}")
    assert backend.refusal(model_folder(tmp_path / "mine", source)) == error


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def", "SyntaxError: "),
        ("value = 1", "AttributeError: "),
    ],
)
def test_a_model_file_that_is_none_is_an_error(
    source: str, error: str, backend: Backend, tmp_path: Path
) -> None:
    assert backend.refusal(model_folder(tmp_path / "mine", source)).startswith(error)


def test_a_missing_model_file_is_an_error_with_its_path(backend: Backend, tmp_path: Path) -> None:
    assert backend.refusal(tmp_path) == f"{tmp_path}/1/model.py not found"


def test_a_long_error_is_cut_to_what_the_server_takes(backend: Backend, tmp_path: Path) -> None:
    source = model("pass", initialize='raise pb_utils.TritonModelException("a" * 5000)')
    handle, error = backend.load(model_folder(tmp_path / "mine", source))
    assert (handle, len(error), error[-9:]) == (0, 2047, "a" * 9)


def test_a_decoupled_model_is_refused(backend: Backend, tmp_path: Path) -> None:
    config = json.dumps({"model_transaction_policy": {"decoupled": True}})
    folder = model_folder(tmp_path / "mine", model("pass"))
    assert backend.refusal(folder, config) == "decoupled models are not supported by this server"


def test_a_model_without_initialize_and_finalize_is_loaded_and_unloaded(
    backend: Backend, tmp_path: Path
) -> None:
    handle = backend.loaded(tmp_path / "mine", "class TritonPythonModel: pass")
    backend.in_process.unload(handle)


def test_instances_share_a_module_and_have_models_of_their_own(
    backend: Backend, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "mine", model("return [answer()]", "print('once')"))
    handles = [backend.load(folder)[0] for _ in range(2)]
    models = [backend.in_process._models[handle] for handle in handles]
    assert len(set(handles)) == 2
    assert models[0] is not models[1]
    assert type(models[0]) is type(models[1])


NEIGHBOURED = "from own import VALUE\n"


def test_modules_beside_a_model_are_its_own(backend: Backend, tmp_path: Path) -> None:
    source = model("return [answer(VALUE)]", NEIGHBOURED)
    for number in (1, 2):
        folder = model_folder(tmp_path / str(number), source, own=f"VALUE = {number}")
        handle, error = backend.load(folder)
        assert error == ""
        backend.execute(handle, backend.described(number))
    values = [np.frombuffer(backend.server.only(n).outputs["out"][2], np.int64)[0] for n in (1, 2)]
    assert values == [1, 2]


def test_nothing_of_a_model_stays_where_others_import_from(
    backend: Backend, tmp_path: Path
) -> None:
    path = list(sys.path)
    folder = model_folder(tmp_path / "mine", model("pass", NEIGHBOURED), own="VALUE = 1")
    assert backend.load(folder)[1] == ""
    assert sys.path == path
    assert "own" not in sys.modules


def test_models_that_are_loaded_at_once_find_their_own_modules(
    backend: Backend, tmp_path: Path
) -> None:
    # Triton loads the models of a repository in several threads.
    source = model("pass", "import time; time.sleep(0.05)\n" + NEIGHBOURED + "assert VALUE == {}")
    found: list[str] = []

    def load(number: int) -> None:
        folder = model_folder(
            tmp_path / str(number), source.format(number), own=f"VALUE = {number}"
        )
        found.append(backend.load(folder)[1])

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [""] * 4


def test_a_python_based_backend_is_the_model_file_of_its_own_folder(
    backend: Backend, tmp_path: Path
) -> None:
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "model.py").write_text(model("return [answer(5)]"))
    (tmp_path / "mine" / "1").mkdir(parents=True)
    handle, error = backend.load(
        tmp_path / "mine", backend=b"mine", backend_folder=str(tmp_path / "backends").encode()
    )
    assert error == ""
    backend.execute(handle, backend.described(1))
    assert backend.server.only(1).error is None


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def preferred_instances(): return 3", 3),
        ("", 1),
        ("def preferred_instances(): return 1 / 0", 1),
        ("def", 1),
        (None, 1),
    ],
)
def test_a_backend_may_say_how_many_instances_its_models_have(
    source: str | None, count: int, backend: Backend, tmp_path: Path
) -> None:
    if source is not None:
        (tmp_path / "model.py").write_text(source)
    assert backend.in_process.preferred_instances(str(tmp_path).encode()) == count


def test_every_request_of_a_call_gets_its_own_response(backend: Backend, tmp_path: Path) -> None:
    source = model("return [answer(len(item.inputs()[0].as_numpy())) for item in requests]")
    handle = backend.loaded(tmp_path / "mine", source)
    three = backend.described(2, [backend.texts(b"a", b"b", b"c")])
    backend.execute(handle, backend.described(1), three)
    for number, rows in ((1, 1), (2, 3)):
        (_, _, data) = backend.server.only(number).outputs["out"]
        assert np.frombuffer(data, np.int64).tolist() == [rows]


def test_a_call_counts_as_one_run_of_all_its_rows(backend: Backend, tmp_path: Path) -> None:
    handle = backend.loaded(tmp_path / "mine", model("return [answer() for _ in requests]"))
    three = backend.described(2, [backend.texts(b"a", b"b", b"c")])
    backend.execute(handle, backend.described(1), three)
    ((instance, rows, started, ended),) = backend.server.runs
    assert (instance, rows) == (7, 4)
    assert started <= ended


@pytest.mark.parametrize(
    ("execute", "error"),
    [
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return 5", "TypeError: "),
        ("return [None, None]", "AttributeError: "),
    ],
)
def test_whatever_execute_does_every_request_gets_an_error_and_the_server_goes_on(
    execute: str, error: str, backend: Backend, tmp_path: Path
) -> None:
    handle = backend.loaded(tmp_path / "mine", model(execute))
    backend.execute(handle, backend.described(1), backend.described(2))
    for message in backend.server.errors():
        assert message is not None
        assert message.startswith(error)


def test_too_few_responses_fail_the_rest(backend: Backend, tmp_path: Path) -> None:
    handle = backend.loaded(tmp_path / "mine", model("return [answer()]"))
    backend.execute(handle, backend.described(1), backend.described(2))
    first, second = backend.server.errors()
    assert first is None
    assert second is not None
    assert second.startswith("ValueError: ")


def test_too_many_responses_are_left_out(backend: Backend, tmp_path: Path) -> None:
    handle = backend.loaded(tmp_path / "mine", model("return [answer(), answer()]"))
    backend.execute(handle, backend.described(1))
    assert backend.server.errors() == [None]


def test_a_model_may_answer_through_senders_after_the_call(
    backend: Backend, tmp_path: Path
) -> None:
    source = model("self.kept = [item.get_response_sender() for item in requests]")
    handle = backend.loaded(tmp_path / "mine", source)
    backend.execute(handle, backend.described(1), backend.described(2))
    assert backend.server.responses == {}
    assert backend.server.runs == []
    for sender in backend.in_process._models[handle].kept:
        sender.send(backend.utils.InferenceResponse([]))
    assert backend.server.errors() == [None, None]


def test_a_model_that_forgets_its_senders_fails_its_requests(
    backend: Backend, tmp_path: Path
) -> None:
    handle = backend.loaded(tmp_path / "mine", model("return None"))
    backend.execute(handle, backend.described(1))
    gc.collect()
    assert backend.server.errors() == ["the model gave no response"]


BadTensor = Callable[[Backend], Any]


@pytest.mark.parametrize(
    "bad",
    [
        lambda backend: backend.tensor("text", BYTES, [1, 1], b"\5\0\0\0abc"),
        lambda backend: backend.tensor("text", BYTES, [3, 1], encoded(b"abc")),
        lambda backend: backend.tensor("text", INT64, [2], b"12345678"),
        lambda backend: backend.tensor("text", INT64, [1], b"1234567"),
        lambda backend: backend.tensor("text", BF16, [1], b"12"),
        lambda backend: backend.tensor("text", 99, [1], b"12"),
    ],
    ids=["length", "rows", "shape", "size", "bf16", "type"],
)
def test_a_request_with_a_malformed_tensor_gets_one_error_and_the_others_their_answers(
    bad: BadTensor, backend: Backend, tmp_path: Path
) -> None:
    handle = backend.loaded(tmp_path / "mine", model("return [answer() for _ in requests]"))
    backend.execute(handle, backend.described(1, [bad(backend)]), backend.described(2))
    gc.collect()
    first, second = backend.server.errors()
    assert first
    assert second is None
    assert backend.server.only(1).code == INVALID_ARG


def test_a_call_of_malformed_requests_only_does_not_reach_the_model(
    backend: Backend, tmp_path: Path
) -> None:
    handle = backend.loaded(tmp_path / "mine", model("pb_utils.Logger.log_info('called')"))
    bad = backend.tensor("text", BYTES, [1, 1], b"\5")
    backend.execute(handle, backend.described(1, [bad]))
    assert backend.server.errors() == ["a BYTES tensor is shorter than it says"]
    assert backend.server.lines == []


def test_a_model_finishes_what_it_has_begun_when_it_is_unloaded(
    backend: Backend, tmp_path: Path
) -> None:
    source = model("pass") + "    def finalize(self):\n        pb_utils.Logger.log_info('bye')\n"
    backend.in_process.unload(backend.loaded(tmp_path / "mine", source))
    assert backend.server.lines == [(0, "bye")]


def test_what_a_model_raises_while_it_is_unloaded_stays_with_it(
    backend: Backend, tmp_path: Path
) -> None:
    source = model("pass") + "    def finalize(self):\n        raise SystemExit\n"
    backend.in_process.unload(backend.loaded(tmp_path / "mine", source))


def test_the_library_is_told_what_to_call(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    library = ModuleType("library")
    vars(library)["register_host"] = lambda *functions: told.extend(functions)
    monkeypatch.setattr(
        type(backend.triton_native.native), "open", lambda *_: library, raising=True
    )
    backend.in_process.start("/no/such/library.so")
    native = backend.triton_native
    assert [type(function) for function in told] == [
        native.PREFERRED_INSTANCES,
        native.LOAD,
        native.EXECUTE,
        native.UNLOAD,
    ]
    assert told[0](b"/no/such/folder") == 1
