"""Measurements of the engine and of a search: what they cost, and what a plain loop costs that does the same.

The package under src is imported from beside this file, as the stages do.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
