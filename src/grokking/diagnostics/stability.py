"""Scale of logits and weights, collapse of the softmax: whether training can still move.

What is exactly 0 or 1 depends on the floating-point type, so collapse is measured in the type of the logits.
"""

# B pairs, V classes

from collections.abc import Mapping

import numpy as np


def logit_rms(logits_BV: np.ndarray) -> float:
    """Root mean square of the logits less each pair's mean. Sets cross-entropy's time scale, see `margin`."""
    return float(np.sqrt(np.square(logits_BV - logits_BV.mean(1, keepdims=True)).mean()))


def margin(logits_BV: np.ndarray, answer_B: np.ndarray) -> float:
    """Mean of the answer's logit less the largest other one; the loss of a pair is about e^-margin."""
    others_BV = np.array(logits_BV, dtype=float)
    answers = (np.arange(len(others_BV)), answer_B)
    right_B = others_BV[answers]
    others_BV[answers] = -np.inf
    return float((right_B - others_BV.max(1)).mean())


def weight_norms(parameters: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Euclidean norm of each parameter, and of all together as `total`."""
    norms = {name: float(np.linalg.norm(parameter)) for name, parameter in parameters.items()}
    return norms | {"total": float(np.linalg.norm(list(norms.values())))}


def collapse(logits_BV: np.ndarray, answer_B: np.ndarray) -> dict[str, float]:
    """Shares of pairs for which the softmax has collapsed, in the logits' own type (Prieto et al. 2025).

    `softmax_collapse`: Σ exp(z - max z) is exactly 1, so that the largest logit takes all.
    `zero_loss`: the loss is exactly 0. `zero_gradient`: p - y is 0 in every class, so the pair teaches
    nothing. arXiv 2501.04697. In float32 from margins of about 17 for the first two; the gradient lives on in
    the tails until p underflows. Cost O(BV).
    """
    below_BV = logits_BV - logits_BV.max(1, keepdims=True)
    exponential_BV = np.exp(below_BV)
    total_B = exponential_BV.sum(1)
    answers = (np.arange(len(logits_BV)), answer_B)
    loss_B = np.log(total_B) - below_BV[answers]
    gradient_BV = exponential_BV / total_B[:, None]
    gradient_BV[answers] -= 1
    return {
        "softmax_collapse": float((total_B == 1).mean()),
        "zero_loss": float((loss_B == 0).mean()),
        "zero_gradient": float((gradient_BV == 0).all(1).mean()),
    }
