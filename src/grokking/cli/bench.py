"""`grokking bench`: run a submission to the benchmark of time-to-grok, verify it, rank all."""

import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from grokking.leaderboard.submission import Submission
    from grokking.leaderboard.trials import WithTrials
    from grokking.leaderboard.workloads import Benchmark

HELP = """A benchmark of time-to-grok: run a training rule on its workloads, verify it, rank all.

docs/leaderboard.md says how to submit one.

Examples:

  grokking bench run leaderboard/submissions/lion.py --workload quadratic_mlp

  grokking bench table
"""
app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A submission, such as leaderboard/submissions/lion.py.")
]
Names = Annotated[list[str] | None, typer.Option("--workload", help="Only this workload; may be repeated.")]


@app.command("run")
def run(file: File, workload: Names = None) -> None:
    """Train a submission's trials on the workloads that count, after the check that it sees no answers.

    Then follow held-out variants of those workloads on which it generalizes.

    What has been trained is kept, so the same command goes on. Results are in results/leaderboard/v1/.

    Examples:

      grokking bench run leaderboard/submissions/lion.py

      grokking bench run mine.py --workload quadratic_mlp
    """
    from grokking.api.checkout import here
    from grokking.cli.terminal import console
    from grokking.cli.trial_lines import titles
    from grokking.leaderboard.assignment import trials_by_workload, variants
    from grokking.leaderboard.records import sentence
    from grokking.leaderboard.rehearsal import rehearse
    from grokking.leaderboard.submission import read_submission
    from grokking.leaderboard.table import open_benchmark, source_kept

    benchmark, submission, screen = open_benchmark(here().root), read_submission(file), console()
    chosen = trials_by_workload(benchmark, submission, workload or [])
    rehearse(submission, chosen[0][1][0])
    with source_kept(benchmark, submission):
        screen.print(f"{submission.name}: {submission.about}", soft_wrap=True)
        with_variants = not workload and not submission.declared.WORKLOAD
        if with_variants:
            screen.print(_plan(benchmark, chosen), soft_wrap=True)
        then = ", then variants" if with_variants and variants(benchmark) else ""
        runs = _train(benchmark, submission, chosen, screen, then)
        if with_variants:
            runs = _train_on_variants(benchmark, submission, runs, screen)
    if submission.declared.WORKLOAD:
        screen.print(f"{submission.declared.WORKLOAD}: {sentence(runs)}", soft_wrap=True)
        return
    for row in _by_workload(runs, benchmark.leak_check.name, titles(benchmark)):
        screen.print(row, soft_wrap=True)
    if not workload:
        screen.print(f"next: grokking bench verify {shlex.quote(str(file))}", soft_wrap=True)
        screen.print("then: grokking bench table --write", soft_wrap=True)


@app.command("verify")
def verify(
    file: File,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="For how long; towards the end no trial begins any more.")
    ] = 10.0,
    seed: Annotated[int | None, typer.Option(help="Of the order; drawn unless given.")] = None,
) -> None:
    """Train trials of a submission again, in a random order, and compare every figure but times in seconds.

    On the same kind of processor all bits are equal. Exit code 1 where one is not. Trials of another kind of
    processor cannot be checked bit by bit; those that differ are counted.
    """
    from grokking.api.checkout import here
    from grokking.cli.terminal import console
    from grokking.cli.trial_lines import VerifiedLines, titles, verdict
    from grokking.leaderboard.submission import read_submission
    from grokking.leaderboard.table import open_benchmark
    from grokking.leaderboard.verification import verify as again

    benchmark, submission, screen = open_benchmark(here().root), read_submission(file), console()
    order = secrets.randbelow(10**9) if seed is None else seed
    lines = VerifiedLines(screen, titles(benchmark), 60 * minutes)
    found = again(benchmark, submission, 60 * minutes, order, lines.show)
    for line in found.differences:
        screen.print(line, soft_wrap=True)
    screen.print(verdict(submission.name, found, order), soft_wrap=True)
    if found.missing:
        screen.print(f"{found.missing} trials that the file asks for are not there", soft_wrap=True)
    if found.differences or not found.compared:
        raise typer.Exit(1)


@app.command("targets")
def targets(workload: Names = None) -> None:
    """Show the targets that are known; with --workload, search for those of the workloads named.

    A target is how many steps a well tuned rule takes. A search takes up to an hour; it goes on if stopped.

    Examples:

      grokking bench targets

      grokking bench targets --workload quadratic_mlp
    """
    from grokking.api.checkout import here
    from grokking.cli.terminal import console
    from grokking.cli.terminal import table as shown
    from grokking.cli.trial_lines import TrialLines
    from grokking.leaderboard.assignment import chosen_by_name
    from grokking.leaderboard.table import open_benchmark
    from grokking.leaderboard.targets import find_target, read_target, targets_table

    benchmark, screen = open_benchmark(here().root), console()
    known = list(benchmark.workloads.values())
    chosen = chosen_by_name(known, workload) if workload else known
    targets = {
        own.name: find_target(benchmark, own, TrialLines(screen, {}, {}).show)
        if workload
        else read_target(benchmark, own)
        for own in chosen
    }
    rows = targets_table(benchmark, {name: target for name, target in targets.items() if target is not None})
    columns = [str(name) for name in rows]
    if columns:
        screen.print(shown(columns, rows.to_numpy().tolist(), right=columns[1:]))
    for name in [name for name, target in targets.items() if target is None]:
        screen.print(f"{name} has no target yet: grokking bench targets --workload {name}", soft_wrap=True)


@app.command("seconds")
def seconds(
    write: Annotated[bool, typer.Option(help="Keep what was measured, for the score in seconds.")] = False,
) -> None:
    """Measure how long an update takes by each rule whose results are here, on one core, in turns.

    Minutes; nothing else should compute meanwhile.

    Examples:

      grokking bench seconds

      grokking bench seconds --write
    """
    import pandas as pd

    from grokking.api.checkout import here
    from grokking.cli.terminal import console
    from grokking.cli.terminal import table as shown
    from grokking.leaderboard import step_seconds
    from grokking.leaderboard.assignment import workloads
    from grokking.leaderboard.table import open_benchmark, with_results

    benchmark, screen = open_benchmark(here().root), console()
    submissions = [own for own in with_results(benchmark)[0] if not own.is_open]
    found = []
    for rows in step_seconds.measure(benchmark, submissions, workloads(benchmark)):
        found.append(rows)
        milliseconds = rows.set_index("submission")["step_seconds"] * 1000
        lines = [[name, f"{value:.2f}"] for name, value in milliseconds.items()]
        screen.print(shown([rows["workload"].iloc[0], "ms a step"], lines, right=["ms a step"]))
    if write:
        pd.concat(found).to_csv(step_seconds.file(benchmark), index=False)
        screen.print(f"wrote {step_seconds.file(benchmark)}", soft_wrap=True)


@app.command("table")
def table(
    write: Annotated[bool, typer.Option(help="Write reports/leaderboard.md and its picture.")] = False,
) -> None:
    """Rank all submissions whose results are here, by the integral of their performance profiles."""
    from grokking.api import benchmark_page
    from grokking.api.checkout import here
    from grokking.cli.terminal import console
    from grokking.cli.terminal import table as shown
    from grokking.leaderboard.table import open_benchmark, rank, ranking

    benchmark, screen = open_benchmark(here().root), console()
    ranked = rank(benchmark)
    rows = ranking(ranked)
    columns = [str(name) for name in rows]
    screen.print(shown(columns, rows.to_numpy().tolist(), right=columns[2:]))
    for name, reason in ranked.not_ranked.items():
        screen.print(f"{name} is not ranked: {reason}", soft_wrap=True)
    if len(ranked.seconds) < len(ranked.steps):
        how = "`grokking bench seconds --write` measures all rules in turns; a submitter need not run it"
        screen.print(f"score in seconds: {how}", soft_wrap=True)
    if write:
        for file in benchmark_page.write(benchmark, ranked):
            screen.print(f"wrote {file}", soft_wrap=True)


@app.command("curves")
def curves(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .parquet file to write.")],
) -> None:
    """Write all curves of submissions, of searches for targets and of studies as one table; docs/curves.md.

    Examples:

      grokking bench curves curves.parquet

      grokking bench curves /tmp/curves.parquet
    """
    from grokking.api.checkout import here
    from grokking.cli.terminal import console
    from grokking.leaderboard.curves import NETWORK, all_curves
    from grokking.leaderboard.table import open_benchmark

    found = all_curves(open_benchmark(here().root))
    found.to_parquet(file, index=False, compression="zstd")
    count = len(found.drop_duplicates(NETWORK))
    console().print(f"wrote {count:,} curves, {len(found):,} evaluations, to {file}", soft_wrap=True)


def _train(
    benchmark: "Benchmark",
    submission: "Submission",
    chosen: "list[WithTrials]",
    screen: "Console",
    then: str = "",
) -> "pd.DataFrame":
    """The runs of these trials; those that are not kept are trained, with a line for each."""
    from grokking.cli.trial_lines import TrialLines, titles
    from grokking.leaderboard.assignment import every_trial
    from grokking.leaderboard.running import train_missing
    from grokking.leaderboard.table import result_folder, typical_seconds

    folder = result_folder(benchmark, submission.name)
    lines = TrialLines(screen, titles(benchmark), typical_seconds(benchmark), then)
    known = every_trial(benchmark, submission)
    return train_missing(submission, chosen, known, folder, lines.show, lines.show_outdated)


def _train_on_variants(
    benchmark: "Benchmark", submission: "Submission", runs: "pd.DataFrame", screen: "Console"
) -> "pd.DataFrame":
    """The runs, and those on held-out variants of the workloads where they generalize."""
    import pandas as pd

    from grokking.leaderboard.assignment import variants_to_train

    chosen = variants_to_train(benchmark, submission, runs)
    if not chosen:
        return runs
    names = ", ".join(own.title for own, _ in chosen)
    screen.print(f"now on variants of the workloads where it generalizes: {names}", soft_wrap=True)
    return pd.concat([runs, _train(benchmark, submission, chosen, screen)], ignore_index=True)


def _plan(benchmark: "Benchmark", chosen: "list[WithTrials]") -> str:
    """What a run on all workloads comes to; which variants follow is known when it has ended."""
    from grokking.leaderboard.assignment import variants

    count, follow = sum(len(own) for _, own in chosen), sum(len(own) for _, own in chosen[1:])
    then = f", then up to {follow} on held-out variants" if variants(benchmark) else ""
    return f"{count} trials{then}; those that are kept are not trained again"


def _by_workload(runs: Any, leak_check: str, titles: "dict[str, str]") -> list[str]:
    """A line per workload: the time that counts, and how many trials generalized."""
    from grokking.leaderboard.scoring import times

    lines, steps = [], times(runs, "steps")
    for name in (name for name in titles if name in steps):
        own = runs[runs["workload"] == name]
        share = f"{own['observed'].sum()} of {len(own)} trials generalized"
        studies = own.groupby("study")["observed"].any()
        missed = f"missed in {(~studies).sum()} of {len(studies)} studies"
        counts = f"{steps[name]:,.0f} steps" if steps[name] < float("inf") else missed
        passed = "passed" if not own["observed"].any() else "failed, so the rule has no score"
        lines.append(f"{titles[name]}: {passed if name == leak_check else counts}, {share}")
    return lines
