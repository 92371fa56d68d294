"""How many directions a matrix or a layer's activations use. Blind to which ones.

A solution that uses every frequency fills the space as a random matrix does, so in an MLP these
say nothing of grokking; in a transformer, which keeps a handful of frequencies, ranks of the embedding fall.
"""

# B pairs, N hidden width

import numpy as np


def effective_rank(weights: np.ndarray) -> float:
    """exp of the entropy of w / Σw over a matrix's singular values w (Roy & Vetterli 2007).

    Of their squares it is what system 2 published as effective rank, and never above the other.
    """
    share = weights[weights > 0] / weights.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


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
    centred_BN = centred(hidden_BN)
    return (centred_BN.T @ centred_BN).astype(np.float64)


def centred(hidden_BN: np.ndarray) -> np.ndarray:
    """Activations less their mean over pairs, in their own type."""
    return hidden_BN - hidden_BN.mean(0, dtype=np.float64).astype(hidden_BN.dtype)
