"""Does this code train to the same bits as the code of the committed results?

`make same` runs `refactoring.digests` here and on the commit that last changed a dvc.lock, and compares name
by name. Exit code 0: all are equal. 1: some differ or are missing. 2: they could not be compared.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from grokking.config import ConfigError
from pipelines.common.stage import run
from refactoring.sha256 import Digests

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("dvc.lock", "extended/dvc.lock")
PROGRAM = Path("refactoring/digests.py")
KEPT = ROOT / ".checkpoints" / "same"  # digests of commits
COMPUTES = ("torch", "numpy", "numba", "pandas")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--commit", help="compare with this commit, not with the last that changed a dvc.lock"
    )
    raise SystemExit(0 if is_same_as(resolved(parser.parse_args().commit)) else 1)


def resolved(commit: str | None) -> str:
    """The full hash of a commit, by default of the one whose results are in the repository."""
    found = (
        git("rev-parse", f"{commit}^{{commit}}") if commit else git("log", "-1", "--format=%H", "--", *LOCKS)
    )
    if not found:
        raise ConfigError(
            "no commit holds a dvc.lock; run `dvc repro` and commit it, or name one by --commit"
        )
    return found


def is_same_as(commit: str) -> bool:
    """Compare the digests of this code with those of a commit, and print what came of it."""
    edited = ", with changes that are not committed," if git("status", "--porcelain") else ""
    print(f"comparing {git('rev-parse', '--short=7', 'HEAD')}{edited} with {commit[:7]} ...", flush=True)
    with ThreadPoolExecutor() as both:
        of_commit, of_this_code = both.submit(digests_of_commit, commit), both.submit(digests, ROOT)
        then, now = of_commit.result(), of_this_code.result()
    wrong = differences(now, then)
    for line in [*wrong, *(f"new: {name}" for name in now if name not in then)]:
        print(line)
    if wrong:
        print(f"red: {len(wrong)} of {len(then)} are not the same as in {commit[:7]}")
    else:
        print(f"green: all {len(then)} are the same to the last bit as in {commit[:7]}")
    return not wrong


def digests_of_commit(commit: str) -> Digests:
    """Those of the commit's own program; kept, for on one machine they never change."""
    versions = " ".join(f"{name} {version(name)}" for name in COMPUTES)
    here = f"{platform.node()} {torch.backends.cpu.get_cpu_capability()} {sys.version} {versions}"
    machine = hashlib.sha256(here.encode()).hexdigest()[:8]
    kept = KEPT / f"{commit}_{machine}.json"
    if not kept.exists():
        with checked_out(commit) as tree:
            if not (tree / PROGRAM).exists():
                raise ConfigError(
                    f"{commit[:7]} has no {PROGRAM} to compare with; name a later one by --commit"
                )
            found = digests(tree)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    read: Digests = json.loads(kept.read_text())
    return read


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A temporary working tree of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git("worktree", "add", "--detach", "--quiet", str(tree), commit)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def digests(tree: Path) -> Digests:
    """What the tree's own program prints, run on the tree's own code."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", ".".join(PROGRAM.with_suffix("").parts)]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1].removeprefix("error: ")
        raise ConfigError(f"{PROGRAM} of {tree} failed: {last}")
    found: Digests = json.loads(done.stdout)
    return found


def differences(now: Digests, then: Digests) -> list[str]:
    """A line for every name that is missing now, or has other bits."""
    lines = []
    for name, parts in then.items():
        if name not in now:
            lines.append(f"missing: {name}")
        elif other := [part for part in parts if now[name].get(part) != parts[part]]:
            lines.append(f"different: {name} ({', '.join(other)})")
    return lines


def git(*arguments: str) -> str:
    """What git prints for this repository; its refusal becomes one line."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"git {arguments[0]}: {done.stderr.strip().splitlines()[0]}")
    return done.stdout.strip()


if __name__ == "__main__":
    run(main)
