"""Puts DVC's site cache into this checkout, where nobody else can write: DVC unpickles what lies there.

`dvc config` does the same, but fails where the path has a letter beyond ASCII.
"""

from pathlib import Path

from configobj import ConfigObj

FOLDER = Path(".dvc_site_cache")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o700)
    config = ConfigObj(".dvc/config.local", encoding="utf-8")
    config.setdefault("core", {})["site_cache_dir"] = str(FOLDER.absolute())
    config.write()


if __name__ == "__main__":
    main()
