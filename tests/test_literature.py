"""Numbers of other repositories: each has its preset, and the verdict is by its author's accuracy."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_verdicts import crossings, run_of

from grokking.analysis import literature, pages
from grokking.analysis.comparison import GROUPS
from grokking.analysis.literature import LITERATURE, REPRODUCED, UNLIKE, Recipe
from grokking.catalogue import read_catalogue

CATALOGUE = read_catalogue(Path(__file__).parents[1])
PLAIN = Recipe("a network, data", "preset", 1000, "", 0.95, "https://example.org")


@pytest.mark.parametrize(
    ("found", "qualifier", "expected"),
    [
        (crossings(), "", "not run"),
        (crossings(900, 1100, 9000), "", REPRODUCED),
        (crossings(500, 500, 500), "", REPRODUCED),
        (crossings(2000, 2000, 2000), "", REPRODUCED),
        (crossings(100, 400, 1000), "", "2.5 times earlier"),  # by the median, not by the range
        (crossings(1000, 3000, 3500), "", "3.0 times later"),
        (crossings(1000, 1500, missing=[1600]), "", REPRODUCED),
        (crossings(missing=[500, 600]), "", "not run to 2,000"),
        (crossings(1000, missing=[1999, 1999]), "", "not run to 2,000"),
        (crossings(1000, missing=[5000, 5000]), "", "not reproduced"),
        (crossings(1, 2, 3), "<", REPRODUCED),
        (crossings(1900), "<", REPRODUCED),
        (crossings(2500), "<", "2.5 times later"),
        (crossings(missing=[1000, 1000]), ">", "reproduced"),
        (crossings(1500, missing=[2000]), ">", "reproduced"),
        (crossings(700, missing=[1000]), ">", "not reproduced: 1 of 2 by then"),
        (crossings(missing=[900]), ">", "not run to 1,000"),
    ],
)
def test_verdict(found, qualifier, expected):
    assert literature.verdict(replace(PLAIN, qualifier=qualifier), found) == expected


def test_every_preset_has_a_published_number_and_the_other_way_round():
    presets = set(CATALOGUE.names("experiments", "literature"))
    assert {recipe.preset for recipe in LITERATURE} == presets == set(UNLIKE)
    assert all(recipe.source.startswith("https://") and recipe.text for recipe in LITERATURE)


def test_every_point_of_a_published_grid_is_one_of_its_preset():
    for recipe in LITERATURE:
        grid = CATALOGUE.entry("experiments", recipe.preset)["replicas"]["grid"]
        assert set(recipe.point) == set(grid)
        assert all(value in grid[key] for key, value in recipe.point.items())


def test_presets_are_followed_to_twice_the_published_step():
    """A median that comes twice as late is still seen, and a bound is waited for."""
    for recipe in LITERATURE:
        preset = CATALOGUE.entry("experiments", recipe.preset)
        factor = 1 if recipe.qualifier == ">" else literature.CLOSE
        assert preset["budget"] >= factor * recipe.step, recipe.preset
        assert (preset["loss_precision"], preset["role"]) == ("float32", "reproduction")


def rows_of(**runs):
    """The judged rows of these presets' runs."""
    return [row for row in literature.judged(runs) if row["preset"] in runs]


def test_a_preset_is_judged_by_the_accuracy_of_its_author():
    """Three replicas at 95 % after 900, 910 and 920 steps, one of which never comes to 99 %."""
    run = run_of([[0.0] * at + [0.96, last] for at, last in ((90, 1.0), (91, 1.0), (92, 0.9))])
    (row,) = rows_of(grokfast_ema=run)
    assert (row["published"], row["verdict"], row["factor"]) == ("910 (95%, 1 run)", REPRODUCED, 1)
    line = literature.verdict_table([row]).iloc[0]
    assert line["here: median (range)"] == "910 (900–920), 3 of 3"
    assert line["factor"] == "1.00"
    (at_99,) = rows_of(porth_transformer=run)
    line = literature.verdict_table([at_99]).iloc[0]
    assert line["here: median (range)"] == "920 (910–∞), 2 of 3"


def test_of_a_grid_each_point_is_judged_by_itself():
    key = "optimizer.weight_decay"
    strong = run_of([[0.0] * 80 + [1.0]] * 3, **{key: [0.5, 1.0, 2.0]})
    weak = run_of([[0.0] * 501, [0.0] * 80 + [1.0]], **{key: [0.0, 0.1]})
    rows = rows_of(psi_mlp=strong, psi_mlp_weak=weak)
    assert {row["setting"].rpartition(" ")[2]: row["verdict"] for row in rows} == {
        "0": "reproduced", "0.1": "not reproduced: 1 of 1 by then", "0.5": "5.0 times earlier",
        "1": "2.9 times earlier", "2": REPRODUCED, "5": "not run",
    }  # fmt: skip


def test_the_page_tells_what_was_run_and_what_is_unlike():
    judged = literature.judged({"grokfast_ema": run_of([[0.0] * 91 + [1.0]])})
    group = GROUPS["literature"]
    page = pages.of_literature(group.title, group.text, judged, {"grokfast_ema": {"budget": 2300}})
    assert f"Of {len(LITERATURE)} published numbers 1 were run and 1 are reproduced" in page
    assert "99 % accuracy on the whole validation set that is sustained" not in page
    assert page.count("not run") == len(LITERATURE) - 1
    for text in UNLIKE.values():
        assert text in page
