"""How every stage script begins and ends: the entry it works on, and how a mistake is told."""

import argparse
import sys
from collections.abc import Callable

from grokking.catalogue import read_catalogue
from grokking.config import ConfigError


def entry_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for scripts that work on one entry of params.yaml or extended/params.yaml."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", help="an entry of params.yaml or extended/params.yaml")
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a stage; a mistake in the configuration becomes one line and exit code 2; Ctrl-C, too, with 130."""
    try:
        main()
    except ConfigError as error:
        print(f"error: {_located(str(error))}", file=sys.stderr)
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
