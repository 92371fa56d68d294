"""Open submissions to the benchmark: one workload by any means, and what counts as a record."""

import pandas as pd
import pytest
from submissions import ADAMW
from test_cli import call, refused

from grokking.config import ConfigError
from grokking.leaderboard import records, table
from grokking.leaderboard.submission import parse
from grokking.leaderboard.trials import trials

OPEN = """'''AdamW at a rate of {rate}.'''
RULESET = "open"
WORKLOAD = "tiny_mlp"
DATE = "{date}"
SETTINGS = {{
    "optimizer.name": "adamw", "learning_rate": {rate}, "epsilon": 1e-8, "weight_decay": 1.0, "beta1": 0.9,
    "beta2": 0.98, "model.init_scale": 0.05, "loss": "mean_squared_error",
}}
"""


def source(rate=0.03, date="2026-01-01"):
    return OPEN.format(rate=rate, date=date)


@pytest.fixture
def long_checkout(checkout):
    """With a budget and a training set with which its network generalizes."""
    file = checkout / "leaderboard/v1.yaml"
    text = file.read_text().replace("budget: 60", "budget: 600")
    file.write_text(text.replace("train_fraction: 0.7", "train_fraction: 0.9"))
    return checkout


@pytest.mark.parametrize(
    ("changed", "to", "message"),
    [
        ('DATE = "2026-01-01"\n', "", "`WORKLOAD` and `DATE` are of open submissions, which need both"),
        ('"2026-01-01"', '"2026-1-1"', "`DATE` must be a day such as 2026-11-28, but got '2026-1-1'"),
        ('"2026-01-01"', '"2026-02-30"', "`DATE` must be a day such as 2026-11-28, but got '2026-02-30'"),
        ('"2026-01-01"', '"2999-01-01"', "`DATE` must not be in the future, but got '2999-01-01'"),
        ('"open"', '"self-tuning"', "`WORKLOAD` and `DATE` are of open submissions, which need both"),
        ('"model.init_scale"', '"model.hidden_widths"', "set hyperparameters of the rule and keys of"),
        ('"loss"', '"budget"', "budget"),
    ],
)
def test_an_open_submission_with_a_mistake_is_refused_in_one_line(changed, to, message, benchmark):
    text = source()
    assert changed in text
    with pytest.raises(ConfigError) as error:
        trials(
            parse("one", text.replace(changed, to), "one.py"),
            benchmark.workloads["tiny_mlp"],
            benchmark.rules,
        )
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_only_an_open_submission_sets_what_the_workload_fixes():
    text = ADAMW.replace('"epsilon"', '"model.init_scale": 0.05, "epsilon"')
    with pytest.raises(ConfigError, match=r"only open submissions set model\.init_scale; remove it"):
        parse("one", text, "one.py")


def test_seeds_and_splits_follow_from_the_file(benchmark):
    workload, rules = benchmark.workloads["tiny_mlp"], benchmark.rules

    def pairs(text):
        own = trials(parse("one", text, "one.py"), workload, rules)
        return [(trial.replica.seed, trial.replica.split_seed) for trial in own]

    assert len({split for _, split in pairs(source())}) == 10
    assert pairs(source()) == pairs(source())
    assert not set(pairs(source())) & set(pairs(source() + "# another\n"))


def test_a_record_is_faster_than_the_one_before_it_beyond_doubt(long_checkout):
    """The slow one is first, the fast one second, and the same once more is none."""
    for month, (name, rate) in enumerate([("slow", 0.005), ("fast", 0.02), ("same", 0.0201)], start=1):
        file = long_checkout / f"{name}.py"
        file.write_text(source(rate, f"2026-0{month}-01"))
        said = call("bench", "run", str(file))
        assert "10 of 10 networks generalized" in said
        assert "all figures are the same" in call("bench", "verify", str(file))
    found = records.attempts(table.open_benchmark(long_checkout))
    assert [(own.name, own.is_record) for own in found] == [("slow", True), ("fast", True), ("same", False)]
    assert found[0].p is None
    assert found[1].p < records.RECORD_P <= found[2].p
    assert found[1].median < found[0].median
    assert list(records.table(found)["record"]) == ["yes", "yes", "no"]


ALL = list(range(100, 200, 10))


def entry(*steps):
    """An open submission whose networks generalized at these steps; None: not within 1000."""
    rows = [
        {"workload": "tiny_mlp", "generalization_step": step, "observed": step is not None, "budget": 1000}
        for step in steps
    ]
    runs = pd.DataFrame(rows).astype({"generalization_step": float})
    return table.Entry(parse("one", source(), "one.py"), runs, 0, 0, leaks=False)


@pytest.mark.parametrize(
    ("steps", "is_record"),
    [
        ([step / 2 for step in ALL], True),
        ([*(step / 2 for step in ALL[:-1]), None], False),  # one of ten did not generalize
        ([2 * step for step in ALL], False),  # beyond doubt another time, and a longer one
        ([step - 35 for step in ALL], False),  # sooner, with p = 0.018
        (ALL, False),
    ],
)
def test_a_record_needs_all_its_networks_and_fewer_steps_beyond_doubt(steps, is_record):
    first, second = records._judged([entry(*ALL), entry(*steps)])
    assert first.is_record
    assert second.is_record is is_record


def test_the_first_attempt_is_no_record_unless_all_its_networks_generalized():
    first, second = records._judged([entry(*ALL[:-1], None), entry(*(2 * step for step in ALL))])
    assert (first.is_record, first.p) == (False, None)
    assert (second.is_record, second.p) == (True, None)  # there is none to be faster than


def test_an_attempt_is_judged_against_the_record_and_not_the_last_attempt():
    slower, faster = entry(*(2 * step for step in ALL)), entry(*(step / 2 for step in ALL))
    found = records._judged([faster, slower, entry(*ALL)])
    assert [attempt.is_record for attempt in found] == [True, False, False]


def test_an_open_submission_has_no_rank_and_one_workload(long_checkout):
    file = long_checkout / "one.py"
    file.write_text(source())
    call("bench", "run", str(file))
    assert "no submission is ranked" in refused("bench", "table")
    said = refused("bench", "run", str(file), "--workload", "other")
    assert "one is a submission to tiny_mlp alone; leave `--workload` out" in said
