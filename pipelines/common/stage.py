"""How every stage script begins and ends: the entry it works on, and how a mistake is shown."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from grokking import disk_errors
from grokking.catalogue import read_catalogue
from grokking.config import ConfigError


class Parser(argparse.ArgumentParser):
    """One whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see --help")


def entry_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for scripts that work on one entry of params.yaml or extended/params.yaml."""
    parser = Parser(description=description)
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
        message = disk_errors.one_line(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
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
