"""A rehearsal: some updates of random numbers by the rule of a submission, before anything is trained."""

# R replicas, n parameters of one replica, O outputs and I inputs of a hidden matrix

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from grokking.config import ConfigError
from grokking.leaderboard.submission import Submission, parse
from grokking.leaderboard.trials import Trial

UPDATES = 12
PARAMETERS = 15
SHAPES = ((3, 5), (5, 3))  # of two hidden matrices


def rehearse(submission: Submission, trial: Trial) -> None:
    """Make a few updates with a trial's hyperparameters; ConfigError, with its line, for what goes wrong."""
    own = parse(submission.name, submission.source, submission.name)
    if own.rule is None:
        return
    random = torch.Generator().manual_seed(0)
    values = trial.replica.config.update_hparams()
    param, *matrices = (torch.randn(1, *shape, generator=random) for shape in ((PARAMETERS,), *SHAPES))
    state = {name: torch.zeros_like(param) for name in own.rule.state_names}
    states = [
        {
            name: torch.zeros(1, *(shape["OI".index(axis)] for axis in axes))
            for name, axes in own.rule.matrix_state.items()
        }
        for shape in SHAPES
    ]
    with mistakes_in_one_line(own, values):
        for step in range(1, UPDATES + 1):
            now = values | {"step": step}
            hparams = {name: torch.tensor([[value]], dtype=torch.float64) for name, value in now.items()}
            own.rule.update(param, torch.randn(param.shape, generator=random), state, hparams)
            if own.rule.update_matrices:
                grads = [torch.randn(matrix.shape, generator=random) for matrix in matrices]
                own.rule.update_matrices(matrices, grads, states, hparams)


@contextmanager
def mistakes_in_one_line(submission: Submission, hyperparameters: Iterable[str]) -> Iterator[None]:
    """An error that the submission's own code raises, as a ConfigError with its line and what there is."""
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == submission.name]
        if not lines:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        there_is = _names(submission, hyperparameters) if isinstance(error, KeyError) else _shapes(submission)
        raise ConfigError(
            f"{submission.name}, line {lines[-1]}: {what}; mend the rule ({there_is})"
        ) from None


def _names(submission: Submission, hyperparameters: Iterable[str]) -> str:
    """What can be looked up."""
    declared = submission.declared
    known = f"hparams has {', '.join(sorted({*hyperparameters, 'step'}))}"
    known += f"; state in update has {', '.join(declared.STATE) or 'nothing'}"
    return known + (f", in update_matrix {', '.join(declared.MATRIX_STATE)}" if declared.MATRIX_STATE else "")


def _shapes(submission: Submission) -> str:
    declared = submission.declared
    shapes = "param and grad are (R, n), each hyperparameter is (R, 1) in float64: write .to(param.dtype)"
    if declared.MATRIX_STATE:
        axes = ", ".join(f"{name} (R, {', '.join(of)})" for name, of in declared.MATRIX_STATE.items())
        shapes += f"; matrix and grad (R, O, I), each hyperparameter there (R, 1, 1); {axes}"
    return shapes
