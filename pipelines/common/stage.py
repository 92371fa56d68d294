"""How every stage script begins and ends: the entry it works on, and how a mistake is shown."""

import argparse
import errno
import sys
from collections.abc import Callable

from grokking.catalogue import read_catalogue
from grokking.config import ConfigError

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EFBIG}


def entry_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for scripts that work on one entry of params.yaml or extended/params.yaml."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", help="an entry of params.yaml or extended/params.yaml")
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a stage; a mistake in the configuration or a full disk becomes one line and exit code 2.

    Ctrl-C becomes one line, too, and 130.
    """
    try:
        main()
    except ConfigError as error:
        print(f"error: {_located(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        message = (
            f"error: {error.strerror}: {error.filename}; mend it, and the same command goes on from here"
        )
        print(message, file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None


def _located(message: str) -> str:
    """With the entry in which the wrong value was written, where the entries can be read."""
    try:
        return read_catalogue().locate(message)
    except ConfigError:
        return message
