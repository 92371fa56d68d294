"""The command itself: its subcommands, and how a mistake is shown.

Every subcommand imports what it needs when it is called, so that `--help` and completion are there at once.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup
from typer.exceptions import TyperException

from grokking import disk_errors
from grokking.cli import bench, compare, listing, predict, run, search, show, speed
from grokking.config import ConfigError

INTERRUPTED = 130


class OneLineErrors(TyperGroup):
    """A mistake is one line on standard error and exit code 2, whoever finds it."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """As typer's, which would tell a wrong use in a box of several lines."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except ConfigError as error:
            code = _print_error(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            message = disk_errors.one_line(error)
            if message is None:
                raise
            code = _print_error(message)
        except TyperException as error:
            code = _print_error(_message(error))
        if code == INTERRUPTED:
            print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(code if isinstance(code, int) else 0)


def _message(error: TyperException) -> str:
    """What typer says, and the value where it has the wrong type."""
    shown = getattr(error, "format_message", None)
    message = shown() if shown else str(error)
    if isinstance(error.__cause__, ValidationError):
        message += f", but got {error.__cause__.errors()[0]['input']!r}"
    return message


def _print_error(message: str) -> int:
    if message:  # none where the help was shown
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("grokking-laboratory"))
        raise typer.Exit


@app.callback()
def grokking(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The version, and end.")
    ] = False,
) -> None:
    """Networks that memorize a small table at once and generalize, suddenly, long after.

    Begin with `grokking run embedding_mlp modulus=59`: a network that groks in half a minute.
    """


app.command("run")(run.run)
app.command("list")(listing.list_runs)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("predict", cls=predict.Operands)(predict.predict)
app.command("search")(search.search)
app.command("speed")(speed.speed)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """The entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no dash shows a question mark
    app(prog_name="grokking")


if __name__ == "__main__":
    main()
