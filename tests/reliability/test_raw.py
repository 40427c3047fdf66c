"""Why there is a front: what one request does to the server behind it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from tests.containers import running
from tests.reliability.figures import LONG, record
from tests.reliability.service import END_SECONDS, Model, Service, serving, state
from tests.reliability.wire import message

pytestmark = pytest.mark.reliability

# B1: the size of a class of strings is one divided by zero.
KILL = (
    b'{"inputs":[{"name":"text_input","shape":[1,1],"datatype":"BYTES","data":["ok"]}],'
    b'"outputs":[{"name":"labels","parameters":{"classification":1}}]}'
)


def grpc_client(server: Service) -> InferenceServerClient:
    return InferenceServerClient(
        server.container.address(8001), channel_args=[("grpc.enable_http_proxy", 0)]
    )


def grpc_text() -> InferInput:
    """An input of one text."""
    tensor = InferInput("text_input", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[b"ok"]], dtype=object))
    return tensor


@pytest.mark.row("B1")
def test_without_a_front_one_request_ends_the_server(model: Model) -> None:
    with running(model.built.image, "--env=FRONT=off") as container:
        server = Service(container, model, state(container))
        server.wait_until_ready()
        server.assert_right()
        assert server.ask(message("POST", f"{model.path}/infer", KILL)) is None
        assert server.wait_for_end(10) != 0


@pytest.mark.row("B1")
def test_over_grpc_which_has_no_front_the_same_request_ends_the_container(model: Model) -> None:
    with serving(model, "--env=GRPC=on") as server:
        client, tensor = grpc_client(server), grpc_text()
        with pytest.raises(InferenceServerException):
            output = InferRequestedOutput("labels", class_count=1)
            client.infer(model.built.model_name, [tensor], outputs=[output])
        client.close()
        assert server.wait_for_end(10) != 0


# Not each time: a thread of its gRPC takes a lock that is gone (SIGSEGV).
@pytest.mark.row("F8")
def test_over_grpc_calls_that_are_given_up_may_end_the_server_which_docker_starts_again(
    model: Model,
) -> None:
    with serving(model, "--env=GRPC=on", "--restart=on-failure") as server:
        client, tensor = grpc_client(server), grpc_text()

        def call(number: int) -> bool:
            seconds = (1 + number % 20) / 1000
            with suppress(InferenceServerException):
                client.infer(model.built.model_name, [tensor], client_timeout=seconds)
                return True
            return False

        with ThreadPoolExecutor(16) as pool:
            answered = sum(pool.map(call, range(10_000 if LONG else 1_000)))
        client.close()
        # In time for some, or nothing would have been asked of the model.
        assert answered > 0
        server.again().wait_until_ready(END_SECONDS)
        ends = int(server.container.inspect("{{.RestartCount}}"))
        record("F8: over gRPC (off by default): calls that ended the server", ends, "")
        server.again().assert_steady()
