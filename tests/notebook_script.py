"""Run a notebook's code cells in order without Jupyter; print what each has printed, as JSON.

python notebook_script.py FILE [TEXT=>OTHER ...]    # with these texts of the code replaced
"""

import contextlib
import io
import json
import sys
import warnings
from pathlib import Path

import matplotlib as mpl


def main() -> None:
    file, *changes = sys.argv[1:]
    mpl.use("Agg")
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
    names: dict[str, object] = {"__name__": "__main__"}
    json.dump([printed(changed(code, changes), names) for code in cells(Path(file))], sys.stdout)


def cells(file: Path) -> list[str]:
    """The code of each cell."""
    found = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def changed(code: str, changes: list[str]) -> str:
    for change in changes:
        text, _, other = change.partition("=>")
        code = code.replace(text, other)
    return code


def printed(code: str, names: dict[str, object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(code, "<cell>", "exec"), names)
    return output.getvalue()


if __name__ == "__main__":
    main()
