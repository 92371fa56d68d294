"""A copy of the repository with the tiny study as its params, run once for all tests that need it."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = (
    "src", "pipelines", "dvc.yaml", "extended/dvc.yaml", ".dvcignore", ".dvc/config", "mlruns/.gitkeep",
    "requirements.lock", ".gitignore", "Makefile",
)  # fmt: skip
README = "# Tiny\n<!-- table of reports/table.md -->\n<!-- end of table -->\n"
CLAIMS = "numbers: {}\nclaims: {}\n"
NAMED = ("-c", "user.name=t", "-c", "user.email=t@example.org")


def tiny_params() -> str:
    """tests/tiny.yaml behind the defaults of params.yaml."""
    defaults = (ROOT / "params.yaml").read_text().partition("\nreports:")[0]
    return f"{defaults}\n{(ROOT / 'tests' / 'tiny.yaml').read_text()}"


def environment(clone: Path) -> dict[str, str]:
    """That of a user of the clone, in which `import grokking` is the clone's package."""
    own = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("MLFLOW", "DVC_ROOT", "GROKKING", "_GROKKING"))
    }
    return own | {
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": str(clone / "src"),
    }


def heed_ctrl_c() -> None:
    """A shell starts its background jobs with Ctrl-C ignored, and these tests may be in one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(clone: Path, *command: str) -> str:
    """Run a command in the clone; returns what it printed."""
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, env=environment(clone))
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def clone(tmp_path_factory) -> Path:
    """With tests/tiny.yaml and tests/tiny_extended.yaml, everything of the default graph run and committed.

    Whoever changes it puts it back.
    """
    folder = tmp_path_factory.mktemp("clone")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(tiny_params())
    shutil.copy(ROOT / "tests" / "tiny_extended.yaml", folder / "extended" / "params.yaml")
    (folder / "README.md").write_text(README)
    (folder / "reports").mkdir()
    (folder / "reports" / "claims.yaml").write_text(CLAIMS)  # of the large study's results
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "config", "--local", "core.site_cache_dir", str(folder / ".dvc_site_cache"))
    run(folder, "python", "-m", "pipelines.repro")  # as `make repro` does
    run(folder, "git", "add", "--all")
    run(folder, "git", *NAMED, "commit", "--quiet", "-m", "study")
    return folder
