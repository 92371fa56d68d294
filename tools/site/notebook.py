"""A notebook as a page: its text, code, printed output and figures."""

import json
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


def markdown(file: Path) -> str:
    """The notebook's cells in order; figures are part of the text."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    title, *rest = [_of_code(cell) if cell["cell_type"] == "code" else _source(cell) for cell in cells]
    return "\n\n".join([title, f'The notebook itself: <a href="{file.name}">{file.name}</a>', *rest, ""])


def _source(cell: Cell) -> str:
    return "".join(cell["source"])


def _of_code(cell: Cell) -> str:
    shown = [f"```python\n{_source(cell)}\n```"]
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            shown.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
        elif "image/png" in output.get("data", {}):
            png = "".join(output["data"]["image/png"]).replace("\n", "")
            shown.append(f'<p><img alt="figure" src="data:image/png;base64,{png}"></p>')
    return "\n\n".join(shown)
