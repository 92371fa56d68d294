"""Views of the runs in MLflow's UI: which runs, which columns, which charts. Each answers one question.

A view is a tag of its MLflow experiment, as the UI itself writes it when a view is shared (MLflow 3.17).
"""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grokking.tracking import identity, store
from grokking.tracking.descriptions import NOTE

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "mlflow.sharedViewState."
TIME_TO_GROK, GENERALIZED = "metrics.result/time_to_grok", "metrics.result/generalization_step"
MEMORIZED, RATIO = "metrics.result/memorization_step", "metrics.result/ratio"
COST, OUTCOME, SYSTEM, EXPERIMENT = "metrics.result/cost", "tags.outcome", "tags.system", "tags.experiment"
OPTIMIZER, RATE, DECAY = (f"params.optimizer.{key}" for key in ("name", "learning_rate", "weight_decay"))
OPERATION, SHARE = "params.data.operation.name", "params.data.split.train_fraction"
NAME = "attributes.`Run Name`"
WIDTHS = {OUTCOME: 150, SYSTEM: 80, "params.published": 150, "tags.verdict": 240}
# of charts that MLflow adds by itself for every metric: below ours, and closed
SECTIONS = ("accuracy", "loss", "measure", "network", "published", "result")


@dataclass(frozen=True)
class Lines:
    """Curves of several metrics in one chart, over the step on a logarithmic axis."""

    metrics: tuple[str, ...]
    log: bool = False  # also upwards

    def state(self) -> dict[str, Any]:
        return {
            "type": "LINE",
            "metricKey": self.metrics[0],
            "selectedMetricKeys": list(self.metrics),
            "xAxisKey": "step",
            "xAxisScaleType": "log",
            "useGlobalXaxisKey": False,
            "scaleType": "log" if self.log else "linear",
            "lineSmoothness": 0,
            "useGlobalLineSmoothing": False,
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "range": {},
            "displayPoints": False,
        }


@dataclass(frozen=True)
class Scatter:
    """A point per run; columns as in a table, `params.…` or `metrics.…`."""

    x: str
    y: str

    def state(self) -> dict[str, Any]:
        return {
            "type": "SCATTER",
            "xaxis": self._axis(self.x),
            "yaxis": self._axis(self.y),
            "runsCountToCompare": 100,
        }

    @staticmethod
    def _axis(column: str) -> dict[str, str]:
        kind, _, key = column.partition(".")
        return {"key": key, "type": {"params": "PARAM", "metrics": "METRIC"}[kind]}


@dataclass(frozen=True)
class Bars:
    """A bar per run."""

    metric: str

    def state(self) -> dict[str, Any]:
        return {"type": "BAR", "metricKey": self.metric, "runsCountToCompare": 30}


@dataclass(frozen=True)
class Parallel:
    """A line per run through its values, coloured by the last metric."""

    params: tuple[str, ...]
    metrics: tuple[str, ...]

    def state(self) -> dict[str, Any]:
        return {
            "type": "PARALLEL",
            "selectedParams": list(self.params),
            "selectedMetrics": list(self.metrics),
            "showAllRuns": False,
        }


@dataclass(frozen=True)
class View:
    """Runs of one MLflow experiment: those that answer `where`, by `order`."""

    name: str
    question: str
    experiment: str
    where: str
    order: str  # the column to sort by, the smallest first; runs without it come last
    columns: tuple[str, ...]
    charts: tuple[Lines | Scatter | Bars | Parallel, ...] = ()
    opens_with_charts: bool = False  # else with the table

    @property
    def key(self) -> str:
        return self.name.lower().replace(" ", "-")


VIEWS = (
    View(
        "Leaderboard",
        "Which recipe generalizes first of those that grok?",
        identity.TRAINED,
        "tags.kind = 'experiment' AND tags.role != 'control'",
        TIME_TO_GROK,
        (TIME_TO_GROK, RATIO, OUTCOME, SYSTEM, OPTIMIZER, DECAY, RATE, OPERATION, SHARE, GENERALIZED),
    ),
    View(
        "Curves",
        "How do the networks come to generalize?",
        identity.TRAINED,
        "tags.kind = 'experiment' AND tags.group = 'systems'",
        TIME_TO_GROK,
        (MEMORIZED, GENERALIZED, RATIO, OUTCOME),
        (
            Lines(("accuracy/train", "accuracy/validation")),
            Lines(("loss/train", "loss/validation"), log=True),
        ),
        opens_with_charts=True,
    ),
    View(
        "Weight decay",
        "Which weight decay groks first, in system 1's network at a training fraction of 0.40?",
        identity.TRAINED,
        "tags.kind = 'replica' AND tags.experiment = 'embedding_mlp_published_f40'",
        TIME_TO_GROK,
        (DECAY, TIME_TO_GROK, RATIO, OUTCOME, GENERALIZED),
        (Scatter(DECAY, TIME_TO_GROK), Lines(("accuracy/train", "accuracy/validation"))),
        opens_with_charts=True,
    ),
    View(
        "Published against ours",
        "Were the published numbers reproduced, and how much sooner can it be?",
        identity.TRAINED,
        "tags.kind != 'replica' AND metrics.`published/step` > 0",
        "params.system",
        (
            "params.published", "metrics.published/ours", "metrics.published/times_faster",
            "tags.verdict", "tags.group", SYSTEM, SHARE, OUTCOME,
        ),
        (Bars("published/times_faster"),),
    ),
    View(
        "Own runs",
        "What did my own runs come to?",
        identity.TRAINED,
        "tags.kind = 'experiment' AND tags.group = 'own'",
        GENERALIZED,
        (GENERALIZED, MEMORIZED, RATIO, OUTCOME, OPTIMIZER, RATE, DECAY, OPERATION, SHARE),
        (Lines(("accuracy/train", "accuracy/validation")),),
    ),
    View(
        "Search",
        "What did the searches find, and did it hold on fresh seeds?",
        identity.SEARCHED,
        "tags.kind != 'trial' AND tags.kind != 'replica'",
        "tags.study",
        (
            GENERALIZED, RATIO, OUTCOME, RATE, DECAY, "metrics.result/confirmed_winner",
            "metrics.result/confirmed_published", "metrics.result/trials", SYSTEM,
        ),
        (Bars("result/generalization_step"),),
    ),
    View(
        "Trials",
        "Which hyperparameters make a trial cheap?",
        identity.SEARCHED,
        "tags.kind = 'trial'",
        COST,
        (COST, "tags.study", "tags.state", "tags.reason", RATE, DECAY),
        (
            Scatter(RATE, COST),
            Lines(("accuracy/validation",)),
        ),
        opens_with_charts=True,
    ),
    View(
        "Sweeps",
        "What becomes of a network, over hyperparameters and data?",
        identity.SWEPT,
        "tags.kind = 'sweep'",
        "tags.sweep",
        (
            "metrics.result/networks", "metrics.result/generalized", "metrics.result/cells_of_grokking",
            "metrics.result/cells_of_memorization", "params.model.family", RATE, DECAY,
            "params.task.split.train_fraction",
        ),
        (Bars("result/cells_of_grokking"),),
    ),
    View(
        "Benchmark",
        "Which training rule generalizes in the fewest steps, on all networks and tasks?",
        identity.RANKED,
        "tags.kind = 'submission'",
        "metrics.result/rank",
        (
            "metrics.result/rank", "metrics.result/score_in_steps", "metrics.result/score_in_seconds",
            "metrics.result/share_generalized", "tags.ruleset",
        ),
        (Bars("result/score_in_steps"),),
    ),
)  # fmt: skip


def publish(client: "MlflowClient") -> None:
    """Write all views, and on each experiment what is in it; the UI and `publish` may do so at once."""
    for experiment in identity.EXPERIMENTS:
        number = store.experiment_id(client, experiment)
        tags = {f"{TAG}{view.key}": encoded(view) for view in of_experiment(experiment)}
        tags |= {NOTE: banner(client, experiment), "mlflow.experimentKind": "custom_model_development"}
        with store.creating(client):
            for key, value in tags.items():
                client.set_experiment_tag(number, key, value)


def of_experiment(experiment: str) -> list[View]:
    return [view for view in VIEWS if view.experiment == experiment]


def address(client: "MlflowClient", view: View) -> str:
    """The part of a view's URL after the server."""
    charts = "&compareRunsMode=CHART" if view.opens_with_charts else ""
    number = store.experiment_id(client, view.experiment)
    return f"/#/experiments/{number}/runs?workflowType=machine_learning&viewStateShareKey={view.key}{charts}"


def addresses(client: "MlflowClient", server: str) -> dict[str, str]:
    """The URL of each view, by its name."""
    return {view.name: f"{server}{address(client, view)}" for view in VIEWS}


def encoded(view: View) -> str:
    """A view as the UI stores it, the same bytes each time, so that a second publish changes nothing."""
    packed = base64.b64encode(zlib.compress(json.dumps(state(view)).encode())).decode()
    return json.dumps({"name": view.name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})


def state(view: View) -> dict[str, Any]:
    """What the UI keeps of a view."""
    return {
        "searchFilter": view.where,
        "orderByKey": quoted(view.order),
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [quoted(column) for column in view.columns],
        "columnOrder": [NAME, *map(quoted, view.columns)],
        "columnWidths": {NAME: 340, **{quoted(column): width(column) for column in view.columns}},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "SHOW_ALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": False,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        **(drawn(view) if view.charts else {}),
    }


def quoted(column: str) -> str:
    """A column as the UI writes it: metrics.`result/ratio`."""
    kind, _, key = column.partition(".")
    return f"{kind}.`{key}`"


def width(column: str) -> int:
    """Pixels for the name of a column and for what is below it."""
    return WIDTHS.get(column, max(100, 30 + 7 * len(column.partition(".")[2])))


def charts(wanted: Sequence[Lines | Scatter | Bars | Parallel]) -> list[dict[str, Any]]:
    common = {"metricSectionId": "view", "deleted": False, "isGenerated": False}
    return [{**common, "uuid": f"chart-{number}", **chart.state()} for number, chart in enumerate(wanted)]


def sections(view: View) -> list[dict[str, Any]]:
    """Our charts open, those that MLflow adds closed below them."""
    own = {"uuid": "view", "name": view.name, "display": True, "columns": 2 if len(view.charts) > 1 else 1}
    added = [{"uuid": f"section-{name}", "name": name, "display": False} for name in SECTIONS]
    return [{**section, "isReordered": False} for section in (own, *added)]


def drawn(view: View) -> dict[str, Any]:
    return {"compareRunCharts": charts(view.charts), "compareRunSections": sections(view)}


def banner(client: "MlflowClient", experiment: str) -> str:
    """All views, in the first line, which is what the UI shows at first; then what the experiment holds."""
    links = " · ".join(f"[{view.name}]({address(client, view)[1:]})" for view in VIEWS)
    questions = [f"- {view.name}: {view.question}" for view in VIEWS]
    return "\n".join([f"**Views:** {links}", "", CONTENTS[experiment], "", *questions])


CONTENTS = {
    identity.TRAINED: "Everything that was trained: a run per entry of params.yaml and extended/params.yaml, "
    "with the medians over its seeds, and below it a run per network. `result/time_to_grok` is there only "
    "where generalization came at least 3 times later than memorization.",
    identity.SEARCHED: "Hyperparameter searches: a run per study, below it a run per trial, and what it "
    "found, trained again on fresh seeds and splits.",
    identity.SWEPT: "Sweeps: a run per sweep, with the number of its cells in each phase. Its networks are "
    "rows of the artifact networks.parquet.",
    identity.RANKED: "The benchmark of training rules: a run per submission that is ranked, with its scores, "
    "its steps on each workload, its rule, and its trials as runs.parquet.",
}
