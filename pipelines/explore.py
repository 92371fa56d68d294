"""Stage `explore`: a page on which one watches the networks of the default study learn, and its pictures."""

from grokking import figures
from grokking.catalogue import read_catalogue
from grokking.explorer import page
from pipelines.common.exploring import draw, live_recipe, shown
from pipelines.common.reports import EXPLORED, EXPLORER, MOVING, write
from pipelines.common.stage import run

MOVED = "wide_mlp"  # shown by the moving picture; the first where there is no such entry


def main() -> None:
    experiments = shown(read_catalogue())
    drawn = {one.name: draw(one, EXPLORED / one.name) for one in experiments}
    for earlier in set(EXPLORED.rglob("*.png")).difference(*drawn.values()):
        earlier.unlink()
    if drawn:
        figures.moving_picture(drawn.get(MOVED, next(iter(drawn.values()))), EXPLORED / MOVING)
    write({EXPLORER: page.html([one.for_page() for one in experiments], live_recipe())})


if __name__ == "__main__":
    run(main)
