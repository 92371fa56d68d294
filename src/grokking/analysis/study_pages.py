"""A hyperparameter study as a markdown page, and the page that lists all of them."""

from collections.abc import Mapping
from typing import Any

from grokking.analysis import studies
from grokking.analysis.pages import flat, plain, templates
from grokking.analysis.search_axes import space_table
from grokking.analysis.studies import Study
from grokking.data.monitor import MONITOR_SHARE
from grokking.training.events import ACCURACY_THRESHOLD


def page(study: Study, machine: Mapping[str, Any]) -> str:
    """The page of one study; its figures lie in a folder of its name beside it."""
    return (
        templates()
        .get_template("search.md.jinja")
        .render(
            study=study,
            headline=headline(study),
            experiment=study.config["experiment"],
            trials=study.trials["arm"].value_counts().to_dict(),
            threshold=f"{ACCURACY_THRESHOLD:.0%}",
            monitor=f"{MONITOR_SHARE:.0%}",
            machine=machine["gpu"] or machine["processor"],
            arms=plain(studies.arm_table(study)),
            regression=plain(studies.regression_table(study)),
            space=plain(space_table(study.axes, study.chosen)),
            counts=plain(studies.count_table(study)),
            compute=plain(studies.compute_table(study)),
            parameters=flat(study.config),
        )
    )


def headline(study: Study) -> str:
    """The result in a sentence, with its conditions."""
    medians, published = studies.medians_of(study), studies.published_number(study)
    n = len(study.confirmed["winner"])
    parts = [f"The best configuration found takes {medians['winner']} {study.unit} on {n} fresh seeds"]
    if "published" in medians:
        parts.append(f"the published one {medians['published']} on the same")
    if "random_best" in medians:
        parts.append(f"the best of a random search of the same compute {medians['random_best']}")
    told = f" Published steps: [{published[0]}]({published[1]})." if published else ""
    return ", ".join(parts) + "." + told


def overview(found: list[Study]) -> str:
    """The page of all studies that were run."""
    table = plain(studies.overview_table(found)) if found else "None was run yet.\n"
    return templates().get_template("searches.md.jinja").render(table=table)
