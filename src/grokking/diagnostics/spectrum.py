"""How many directions a matrix or a layer's activations use. Blind to which ones.

A solution that uses every frequency fills the space as a random matrix does, so in an MLP these
say nothing of grokking; in a transformer, which keeps a handful of frequencies, ranks of the embedding fall.
"""

# B pairs, N hidden width

import numpy as np


def effective_rank(matrix: np.ndarray) -> float:
    """exp of the entropy of σ / Σσ over the singular values σ (Roy & Vetterli 2007). Cost: one SVD."""
    return _exponential_entropy(np.linalg.svd(matrix, compute_uv=False))


def energy_effective_rank(matrix: np.ndarray) -> float:
    """exp of the entropy of σ² / Σσ²: what system 2 published as effective rank. Never above the other."""
    return _exponential_entropy(np.linalg.svd(matrix, compute_uv=False) ** 2)


def participation_ratio(hidden_BN: np.ndarray) -> float:
    """tr(S)² / tr(S²) with S the covariance of the activations over pairs: 1 to N.

    Cost B N² multiply-adds. Tells one activation function from another more than a solution from noise.
    """
    return scatter_ratio(scatter(hidden_BN))


def scatter_ratio(scatter_NN: np.ndarray) -> float:
    """The participation ratio from `scatter`."""
    return float(np.trace(scatter_NN) ** 2 / np.square(scatter_NN).sum())


def scatter(hidden_BN: np.ndarray) -> np.ndarray:
    """Covariance of the activations times B, (N, N) in float64; multiplied in the activations' own type."""
    centred_BN = hidden_BN - hidden_BN.mean(0, dtype=np.float64).astype(hidden_BN.dtype)
    return (centred_BN.T @ centred_BN).astype(np.float64)


def _exponential_entropy(weights: np.ndarray) -> float:
    share = weights[weights > 0] / weights.sum()
    return float(np.exp(-(share * np.log(share)).sum()))
