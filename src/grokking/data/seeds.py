"""Independent streams of random numbers for each purpose of a seed; a replica has a seed and a split seed."""

import numpy as np

INITIALISATION, BATCHES, LABELS, EVALUATION_SAMPLE = 0, 1, 2, 3


def stream(seed: int, purpose: int) -> int:
    """A generator seed for one purpose of one replica, statistically independent of the others."""
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1)[0])
