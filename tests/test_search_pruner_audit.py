"""Wrong stops, saved compute and Optuna's pruners, on frames whose answers can be counted by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grokking.search import pruner_audit
from grokking.search.pruner_audit import SearchTables
from grokking.search.replay import PRUNERS, stops

NAN = np.nan
STEPS = (1, 10, 30, 60, 90)
FLAT = (0.0, 0.0, 0.0, 0.0, 0.0)
EARLY, LATE = (0.0, 0.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0, 1.0)  # accuracies that jump


def replica(trial, stop_step=NAN, cost=NAN, limit=NAN, flops=100.0, steps_run=100, rule="raced"):
    """A row of replicas.parquet; its cost is its step."""
    return {
        "arm": "search", "trial": trial, "seed_number": 0, "reason": "budget", "step": cost, "cost": cost,
        "limit": limit, "stop_step": stop_step, "stopped_by": None if np.isnan(stop_step) else rule,
        "flops": flops, "steps_run": steps_run,
    }  # fmt: skip


ROWS = [
    replica(0, cost=40),  # let go on, good
    replica(1, stop_step=50, cost=80, limit=100),  # wrong
    replica(2, stop_step=25, cost=80, limit=60),  # right: beyond the limit
    replica(3, stop_step=10, flops=700.0, rule="collapsed"),  # right: never generalized
    replica(4, stop_step=90, cost=95, rule="stagnant"),  # wrong: there was no limit
    replica(5, stop_step=90) | {"reason": "raced"},  # not exempt
    replica(6, stop_step=50, cost=80) | {"arm": "random"},
]
EXEMPT = range(5)


def tables(rows=ROWS, accuracies=None, name="study") -> SearchTables:
    trials = pd.DataFrame(
        {"trial": row["trial"], "arm": row["arm"], "exempt": row["trial"] in EXEMPT} for row in rows
    )
    curves = pd.concat([curve(row, (accuracies or {}).get(row["trial"], FLAT)) for row in rows])
    return SearchTables.from_tables(name, 100, "steps", trials, pd.DataFrame(rows), curves)


def curve(row, accuracy) -> pd.DataFrame:
    loss = [1 - value for value in accuracy]
    columns = {"step": STEPS, "validation_accuracy": accuracy, "validation_loss": loss}
    return pd.DataFrame(columns).assign(arm=row["arm"], trial=row["trial"], seed_number=0)


def compared(*studies: SearchTables) -> pd.DataFrame:
    return pruner_audit.comparison(pd.concat([pruner_audit.judgements(study) for study in studies]))


def test_a_stop_is_wrong_if_the_replica_generalized_within_its_limit():
    ours = compared(tables()).set_index("pruner").loc["rules"]
    assert (ours["replicas"], ours["stopped"], ours["wrong"], ours["good"]) == (5, 4, 2, 3)
    assert (ours["rate"], ours["good_stopped"]) == (0.5, pytest.approx(2 / 3))


def test_saved_is_the_share_of_flops_after_the_stops():
    ours = compared(tables()).set_index("pruner").loc["rules"]
    assert ours["saved"] == pytest.approx((0 + 50 + 75 + 0.9 * 700 + 10) / 1100)


def test_rules_add_up_to_all_of_them():
    whole = compared(tables()).iloc[0]
    rules = pruner_audit.by_rule(pruner_audit.judgements(tables())).set_index("rule")
    assert rules["stopped"].to_dict() == {"collapsed": 1, "raced, by a forecast": 2, "stagnant": 1}
    assert rules["wrong"].to_dict() == {"collapsed": 0, "raced, by a forecast": 1, "stagnant": 1}
    assert rules["saved"].sum() == pytest.approx(whole["saved"])


@pytest.mark.parametrize(
    ("objective", "column"), [("steps", {}), ("flops", {"flops": 200.0}), ("seconds", {"seconds": 10.0})]
)
def test_a_stop_at_a_cost_above_the_limit_is_told_from_a_forecast(objective, column):
    """Stopped after 80 of 100 steps, of which each costs 1, 2 FLOP or 0.1 s."""
    cost = {"steps": 80, "flops": 160, "seconds": 8}[objective]
    rows = [replica(0, stop_step=80, limit=limit) | column for limit in (0.99 * cost, 1.01 * cost)]
    rows[1]["trial"] = 1
    told = pruner_audit.judgements(replace(tables(rows), objective=objective))
    told = told[told["pruner"] == pruner_audit.OURS]
    assert told["rule"].tolist() == ["raced, over its limit", "raced, by a forecast"]
    counts = pruner_audit.count_stops(told)
    assert (counts["stopped"], counts["doubtful"]) == (2, 1)
    assert counts["rate"] == counts["wrong"] / 1


def test_studies_are_pooled():
    twice = compared(tables(), tables(name="other")).set_index("pruner")
    once = compared(tables()).set_index("pruner")
    for column in ("replicas", "stopped", "wrong", "good"):
        assert (twice[column] == 2 * once[column]).all()
    assert twice["saved"].equals(once["saved"])
    assert twice.loc["rules", "high"] < once.loc["rules", "high"]


def test_a_study_without_exempt_replicas_has_rows_of_zeros():
    none = compared(tables(ROWS[5:]))
    assert none["replicas"].tolist() == [0] * (1 + len(PRUNERS))
    assert len(pruner_audit.by_rule(pruner_audit.judgements(tables(ROWS[5:])))) == 0


def test_judgements_survive_their_file(tmp_path):
    kept = pruner_audit.judgements(tables())
    kept.to_csv(tmp_path / "judgements.csv", index=False)
    read = pd.read_csv(tmp_path / "judgements.csv")
    pd.testing.assert_frame_equal(pruner_audit.comparison(read), pruner_audit.comparison(kept))
    pd.testing.assert_frame_equal(pruner_audit.by_rule(read), pruner_audit.by_rule(kept))


def test_interval_is_wilsons():
    """By the formula: centre and half width with z = 1.96."""
    z, p, n = 1.959964, 0.25, 4
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert pruner_audit.share(1, 4) == pytest.approx((p, centre - half, centre + half))
    assert np.isnan(pruner_audit.share(0, 0)).all()


def test_tables_are_read_as_the_stage_writes_them(tmp_path):
    kept = tables()
    for name in ("trials", "replicas", "curves"):
        getattr(kept, name).to_parquet(tmp_path / f"{name}.parquet", index=False)
    found = compared(SearchTables.read(tmp_path, 100, "steps"))
    pd.testing.assert_frame_equal(found, compared(kept))


def replayed(pruner, accuracies, generalized=None) -> list[float]:
    curves = [curve(replica(0), accuracy) for accuracy in accuracies]
    return stops(PRUNERS[pruner], curves, generalized or [NAN] * len(curves), 100)


def test_median_pruner_is_blind_where_all_are_at_zero():
    """The median of a flat curve is tied with every other flat curve."""
    assert np.isnan(replayed("median/accuracy", [FLAT] * 12)).all()
    assert np.isnan(replayed("median/accuracy", [LATE] * 12)).all()


def test_median_pruner_stops_the_late_ones_among_the_early():
    found = replayed("median/accuracy", [EARLY] * 5 + [LATE, EARLY])
    np.testing.assert_array_equal(found, [NAN] * 5 + [30, NAN])


def test_median_pruner_stops_nobody_before_five_have_ended():
    assert np.isnan(replayed("median/accuracy", [EARLY] * 4 + [LATE])).all()


def test_hyperband_lets_ties_pass_and_stops_the_worse():
    assert np.isnan(replayed("hyperband/accuracy", [FLAT] * 12)).all()
    found = np.array(replayed("hyperband/accuracy", [EARLY, FLAT] * 12))
    assert np.isnan(found[::2]).all()
    assert set(found[1::2][~np.isnan(found[1::2])]) <= {30, 90}  # rungs are 10, 30 and 90 steps
    np.testing.assert_array_equal(found, replayed("hyperband/loss", [EARLY, FLAT] * 12))


def test_what_has_generalized_is_not_stopped_any_more():
    fallen = (0.0, 1.0, 0.1, 0.1, 0.1)
    stopped = replayed("hyperband/accuracy", [EARLY] * 11 + [fallen])[-1]
    assert stopped in (30, 90)
    assert np.isnan(replayed("hyperband/accuracy", [EARLY] * 11 + [fallen], [30] * 11 + [10])[-1])


def test_a_diverged_replica_is_replayed_too():
    lost = (0.0, 0.0, NAN, NAN, NAN)
    found = replayed("hyperband/loss", [lost, EARLY])
    assert np.isnan(found[1])
    assert found[0] in (30, 90)
    assert np.isnan(replayed("median/accuracy", [lost])).all()


def test_pruners_are_judged_as_the_rules_are():
    """The sixth of six comes late: the median stops it at step 30, which is wrong."""
    rows = [replica(trial, cost=30, limit=95) for trial in range(5)] + [replica(5, cost=90, limit=95)]
    study = tables(rows, dict.fromkeys(range(5), EARLY) | {5: LATE})
    study.trials["exempt"] = True
    found = compared(study).set_index("pruner")
    assert found.loc["median/accuracy", ["stopped", "wrong", "good"]].tolist() == [1, 1, 6]
    assert found.loc["median/accuracy", "saved"] == pytest.approx(70 / 600)
    assert found.loc["rules", "stopped"] == 0
    assert np.isnan(found.loc["rules", "rate"])
