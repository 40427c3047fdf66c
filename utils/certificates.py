#!/usr/bin/env python3
"""Put certificates of the user's behind the public ones, for everything that takes a bundle."""

import argparse
import ssl
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import certifi

from utils.errors import UserError, run_command


def main() -> None:
    """Write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificates", type=Path, help="in PEM")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        # OpenSSL overlooks whatever stands between certificates.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(arguments.certificates)
        own = arguments.certificates.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(arguments.certificates, "holds no certificates in PEM") from error
    # Where the system keeps some, they are what its administrator trusts.
    public = Path(ssl.get_default_verify_paths().cafile or certifi.where()).read_text("utf-8")
    arguments.output.write_text(f"{public}\n{own}", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
