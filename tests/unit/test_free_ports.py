"""utils/free_ports.py."""

import socket

from tests.unit.commands import run_utility, usage_error
from utils.free_ports import free_ports


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_free_ports_can_be_listened_on() -> None:
    for port in free_ports(3):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_no_free_ports_are_an_empty_list() -> None:
    assert free_ports(0) == []


def test_the_command_prints_one_port_a_line() -> None:
    result = run_utility("free_ports.py", "2")
    assert (result.returncode, result.stderr) == (0, "")
    first, second = (int(line) for line in result.stdout.splitlines())
    assert first != second
    assert 0 < min(first, second) <= max(first, second) < 65536


def test_a_count_that_is_no_number_is_a_usage_error() -> None:
    assert "'two'" in usage_error(run_utility("free_ports.py", "two"))
