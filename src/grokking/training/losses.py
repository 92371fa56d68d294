"""Losses per example, from logits and answers."""

# ... leading dimensions (replicas, examples), V classes

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import one_hot


def cross_entropy(logits: Tensor, answer: Tensor) -> Tensor:
    """-log softmax(logits)[answer]: (..., V), (...) -> (...).

    In float32 a margin of 30 gives exactly 0 and no gradient, which freezes a memorising network;
    the engine therefore calls losses with float64 logits by default (Prieto et al., arXiv 2501.04697).
    """
    return -logits.log_softmax(-1).gather(-1, answer.unsqueeze(-1)).squeeze(-1)


def mean_squared_error(logits: Tensor, answer: Tensor) -> Tensor:
    """Mean over the classes of (logits - one-hot answer)²: (..., V), (...) -> (...)."""
    return (logits - one_hot(answer, logits.shape[-1])).square().mean(-1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
}
