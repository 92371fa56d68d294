"""Independent streams of random numbers for each purpose of a seed; a replica has a seed and a split seed."""

import numpy as np

INITIALISATION, BATCHES, LABEL_NOISE, EVALUATION_SAMPLE = 0, 1, 2, 3


def derived_seed(seed: int, purpose: int) -> int:
    """The seed of a generator for one purpose, statistically independent of those for other purposes."""
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1)[0])
