"""`make notebooks`: run the notebooks in order and keep what they print and draw.

python -m tools.notebooks [NAME ...]    # all of notebooks/ without a name
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
SECONDS = 600  # of a cell


def main() -> None:
    for name in sys.argv[1:] or sorted(file.stem for file in FOLDER.glob("*.ipynb")):
        file = FOLDER / f"{name}.ipynb"
        book = nbformat.read(file, as_version=4)
        NotebookClient(book, timeout=SECONDS, resources={"metadata": {"path": str(FOLDER)}}).execute()
        nbformat.write(cleaned(book), file)
        print(f"{name}: {file.stat().st_size // 1024} kB")


def cleaned(book: NotebookNode) -> NotebookNode:
    """Without what differs from run to run: times, progress, warnings, the kernel's version."""
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined([kept for kept in map(_kept, cell.outputs) if kept is not None])
    book.metadata.language_info = {"name": "python"}
    return book


def _kept(output: NotebookNode) -> NotebookNode | None:
    """Printed text and pictures."""
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    if png := output.get("data", {}).get("image/png"):
        return nbformat.v4.new_output("display_data", {"image/png": png})
    return None


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What was printed in several parts as one text, before the pictures."""
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    pictures = [output for output in outputs if output.output_type != "stream"]
    text = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
    return [*text, *pictures]


if __name__ == "__main__":
    main()
