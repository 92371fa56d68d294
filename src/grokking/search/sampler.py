"""Samplers whose points depend on the study's seed and the trial's number only."""

import zlib
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from grokking.search.config import SamplerConfig


def make_sampler(config: SamplerConfig) -> BaseSampler:
    """The sampler of a study."""
    if config.name == "qmc":  # its place in the sequence is kept in the storage
        return QMCSampler(seed=config.seed, scramble=True, warn_independent_sampling=False)
    return PerTrialSeededSampler(config)


class PerTrialSeededSampler(BaseSampler):
    """A sampler seeded again for each trial by the trial's number.

    So a trial's point does not depend on how often the search was interrupted, and processes that share a
    study do not draw the same points.
    """

    def __init__(self, config: SamplerConfig) -> None:
        self.config = config
        self.inner = self._seeded(0)

    def _seeded(self, *numbers: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self.config.seed, *numbers]).generate_state(1)[0])
        if self.config.name == "random":
            return RandomSampler(seed=seed)
        startup = self.config.startup_trials
        return TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, group=True)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner = self._seeded(trial.number)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        # seeded by the parameter's name: those before it may have been drawn by a process that is gone
        own = self._seeded(trial.number, zlib.crc32(param_name.encode()))
        return own.sample_independent(study, trial, param_name, param_distribution)
