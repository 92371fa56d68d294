"""`grokking predict`: ask a trained network."""

import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from grokking.cli import completion

NEGATIVE = re.compile(r"-\d+")


class Operands(TyperCommand):
    """A command that takes a number below 0 for one of its arguments, and not for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.ignore_unknown_options = any(map(NEGATIVE.fullmatch, args))
        return super().parse_args(ctx, args)


def predict(
    a: Annotated[int, typer.Argument(help="The first operand.")],
    b: Annotated[int, typer.Argument(help="The second operand.")],
    run: Annotated[
        str, typer.Option(help="An experiment or a run of your own.", autocompletion=completion.runs)
    ] = "wide_mlp",
    seed: Annotated[int | None, typer.Option(help="Which of its networks; by default the first.")] = None,
    step: Annotated[int | None, typer.Option(help="After how many steps; by default after training.")] = None,
) -> None:
    """Ask a trained network for a ∘ b: its answer, how sure it is, and whether it had seen the pair.

    A fresh clone has the networks that docs/zoo.md lists; other networks are kept where they are trained.

    Examples:

      grokking predict 40 80

      grokking predict 40 80 --run transformer --step 91
    """
    from grokking.api.loading import load
    from grokking.cli.terminal import console

    screen, loaded = console(), load(run)
    seed = int(loaded.replicas()["seed"].iloc[0]) if seed is None else seed
    found = loaded.predict(a, b, step, seed)
    asked = loaded.steps(seed)[-1] if step is None else step
    screen.print(f"{run}, seed {seed}, step {asked:,}: {loaded.formula} for a = {a}, b = {b}")
    seen = "was" if found.trained_on else "was not"
    screen.print(f"  answer      {found.answer}", style="bold")
    screen.print(f"  probability {found.probability:.4f}")
    screen.print(f"  right       {'yes' if found.is_right else f'no, it is {found.right}'}")
    screen.print(f"  training    the pair {seen} among the equations for training")
