"""Projections of gradients, tensor by tensor and in place, after the filter."""

# R replicas, k entries of one tensor of one replica

from collections.abc import Callable, Iterable

from torch import Tensor


def no_projection(grads: Iterable[Tensor], params: Iterable[Tensor]) -> None:
    """The gradients as they are."""


def orthogonal(grads: Iterable[Tensor], params: Iterable[Tensor]) -> None:
    """⟂Grad (Prieto et al., arXiv 2501.04697): the part that is orthogonal to the weights.

    The component along the weights, which under cross-entropy only scales the logits up, is removed, and
    the rest is rescaled to the norm that the gradient had. Tensors are (R, ...).
    """
    for grad, param in zip(grads, params, strict=True):
        grad_Rk, param_Rk = grad.flatten(1), param.flatten(1)
        along_R1 = _dot(param_Rk, grad_Rk) / (_dot(param_Rk, param_Rk) + 1e-30)
        across_Rk = grad_Rk - along_R1 * param_Rk
        length_R1 = _dot(grad_Rk, grad_Rk).sqrt()
        rescaled_Rk = across_Rk * (length_R1 / (_dot(across_Rk, across_Rk).sqrt() + 1e-30))
        grad.copy_(rescaled_Rk.view(grad.shape))


def _dot(x_Rk: Tensor, y_Rk: Tensor) -> Tensor:
    return (x_Rk * y_Rk).sum(1, keepdim=True)


PROJECTIONS: dict[str, Callable[[Iterable[Tensor], Iterable[Tensor]], None]] = {
    "none": no_projection,
    "orthogonal": orthogonal,
}
