"""`bench/scale.py`, what Firestore costs at a size, as a module: it is a script, and no package."""

import importlib.util
import sys
from functools import cache
from pathlib import Path


@cache
def scale():
    """The model, loaded once."""
    spec = importlib.util.spec_from_file_location("scale", Path(__file__).parents[2] / "bench" / "scale.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = found  # its dataclasses look for their module there
    spec.loader.exec_module(found)
    return found
