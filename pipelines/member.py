"""Make a user of the team's MLflow server, who may publish; `--reads` for one who may only read."""

import argparse
import getpass
import sys

from grokking.config import ConfigError
from grokking.tracking import members, store
from pipelines.common.stage import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--reads", action="store_true", help="may read and not write")
    parser.add_argument("--remove", action="store_true", help="remove the user instead")
    arguments = parser.parse_args()
    try:
        print(change(arguments.name, arguments.reads, arguments.remove))
    except ConfigError:
        raise
    except Exception as error:  # of MLflow or the network
        raise ConfigError(f"`{arguments.name}` stays as it was: {store.reason(error)}") from None


def change(name: str, reads: bool, remove: bool) -> str:
    """What was done, in a sentence."""
    users = members.client()
    if remove:
        users.delete_user(name)
        return f"{name} is no user any more."
    if not members.exists(users, name):
        users.create_user(name, asked(f"Password for {name}, 12 characters or more: "))
    if reads:
        return f"{name} may read."
    members.let_publish(users, name)
    return f"{name} may read and publish."


def asked(question: str) -> str:
    """A password from the terminal, unseen, or the first line that is sent here."""
    return getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    run(main)
