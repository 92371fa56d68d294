"""One thin script per DVC stage.

The package under src is imported from beside this file and not from an installation, so that a DVC
experiment in a temporary copy of the repository runs the copy's code.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
