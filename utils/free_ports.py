#!/usr/bin/env python3
"""Print TCP ports of 127.0.0.1 that are free now, one a line."""

import argparse
import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Different free ports; all are held until the last is found."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    print("\n".join(str(port) for port in free_ports(parser.parse_args().count)))


if __name__ == "__main__":
    main()
