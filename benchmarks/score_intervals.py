"""How often an interval of the benchmark's score holds the score: `python -m benchmarks.score_intervals`.

Made-up rules are tried again and again on made-up workloads. A rule's score is the mean of all its scores,
which its intervals should hold in 95 % of the repetitions. Half a minute.
"""

import argparse

import numpy as np
import pandas as pd

from grokking.leaderboard.scoring import Score, scores

RULES, WORKLOADS, STUDIES, TRIALS = 6, 16, 3, 5
NAMES = [f"workload {number}" for number in range(WORKLOADS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    for what, share in (("all trials generalize", 1.0), ("two of five trials generalize", 0.4)):
        found = simulate(repetitions, share, np.random.default_rng(0))
        print(f"\n{what}, {repetitions} repetitions\n\n{found.to_string(index=False)}")


def simulate(repetitions: int, share: float, random: np.random.Generator) -> pd.DataFrame:
    """By rule, best first: its score, and the share of its intervals that hold it."""
    slowness_RW = np.linspace(1, 1.5, RULES)[:, None] * random.lognormal(0, 0.4, (RULES, WORKLOADS))
    # it differs between rules and workloads how many trials generalize, as it does in the benchmark
    share_RW = np.ones((RULES, WORKLOADS))
    if share < 1:
        share_RW = random.beta(share, 1 - share, (RULES, WORKLOADS))
    found = [repetition(slowness_RW, share_RW, random) for _ in range(repetitions)]
    table = pd.DataFrame([vars(score) for scored in found for score in scored])
    table["true"] = table.groupby("submission")["score"].transform("mean")
    table["held"] = (table["low"] <= table["true"]) & (table["true"] <= table["high"])
    by_rule = table.groupby("submission")[["true", "held"]].mean().round(2)
    return by_rule.sort_values("true", ascending=False).reset_index(names="rule")


def repetition(slowness_RW: np.ndarray, share_RW: np.ndarray, random: np.random.Generator) -> list[Score]:
    """The scores of all rules from trials drawn anew."""
    runs = {
        f"rule {number}": pd.concat(
            trials(name, slowness, share, random)
            for name, slowness, share in zip(NAMES, slowness_RW[number], share_RW[number], strict=True)
        )
        for number in range(RULES)
    }
    return scores(runs, dict.fromkeys(NAMES, ""), "steps", 4.0)


def trials(workload: str, slowness: float, share: float, random: np.random.Generator) -> pd.DataFrame:
    """Those of one rule on one workload."""
    steps = slowness * random.lognormal(4, 0.7, STUDIES * TRIALS)
    observed = random.random(STUDIES * TRIALS) < share
    study, trial = np.divmod(np.arange(STUDIES * TRIALS), TRIALS)
    columns = {"study": study, "trial": trial, "generalization_step": steps, "observed": observed}
    return pd.DataFrame(columns).assign(workload=workload)


if __name__ == "__main__":
    main()
