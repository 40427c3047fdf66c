"""How many CPUs the server will find, by the engines' own count."""

import sys

from utils.folders import ROOT

# It is copied beside each backend, which is no package.
sys.path.append(str(ROOT / "backends" / "shared"))

from cpu_budget import cpu_budget

__all__ = ["cpu_budget"]
