"""An earlier commit of the engine, to be measured beside this one."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
DRIVER = ("worker.py", "timing.py")  # so that both commits answer the same requests


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A work tree of the commit in a temporary folder. Raises CalledProcessError for an unknown one."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        root = Path(folder) / "checkout"
        _git("worktree", "add", "--detach", str(root), commit)
        try:
            for name in DRIVER:
                shutil.copy(Path(__file__).with_name(name), root / "benchmarks" / name)
            yield root
        finally:
            _git("worktree", "remove", "--force", str(root))


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True)
