"""Settings of the server's own Python; its embedding stub ignores PYTHON* variables."""

import sys

# A model repository is the user's: no __pycache__ in it.
sys.dont_write_bytecode = True
