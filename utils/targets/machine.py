"""The detection of hardware that is part of the images, for the build's own use."""

import sys

from utils.targets.servers import SERVERS

# It lies where the images' tree takes it from, which is no package.
sys.path.append(str(SERVERS / "bin"))

from machine import FALLBACK, Machine, missing, this_machine

__all__ = ["FALLBACK", "Machine", "missing", "this_machine"]
