"""Stage `check`: names and inheritance of every entry, before any stage writes or removes a file."""

from pathlib import Path

from grokking.api.checkout import Checkout
from pipelines.common.stage import run

CHECKED = Path("artifacts/checked.txt")


PRIVATE = (Path(".dvc_site_cache"), Path(".dvc/tmp"))  # DVC unpickles what lies there: SECURITY.md


def main() -> None:
    _ = Checkout(Path()).catalogue  # also beside your own runs
    for folder in PRIVATE:
        if folder.exists():
            folder.chmod(0o700)
    CHECKED.parent.mkdir(exist_ok=True)
    # always the same, so that what depends on it is not run again
    text = "Names and inheritance of params.yaml and extended/params.yaml are sound.\n"
    CHECKED.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
