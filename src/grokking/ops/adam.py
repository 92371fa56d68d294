"""Adam's step on the parameters of R replicas, (R, n), each with factors of its own."""

# R replicas, n parameters of one replica

from torch import Tensor

from grokking.ops import numba_kernels as kernels
from grokking.ops.switch import is_fast


def adam_step(
    parameter_Rn: Tensor, grad_Rn: Tensor, mean_Rn: Tensor, square_Rn: Tensor, factor_R6: Tensor
) -> None:
    """Update the parameters and both moments, in place.

    The factors: decay factor of the parameters, 1 - beta1, 1 - beta2, the correction of the second moment,
    the learning rate times the correction of the first, and epsilon.
    """
    if is_fast(parameter_Rn):
        tensors = parameter_Rn, grad_Rn, mean_Rn, square_Rn, factor_R6
        kernels.adam_step(*map(kernels.array, tensors))
        return
    decay_factor, one_minus_beta1, one_minus_beta2, correction, step_size, epsilon = factor_R6.split(1, dim=1)
    mean_Rn.lerp_(grad_Rn, one_minus_beta1)
    square_Rn.lerp_(grad_Rn.square(), one_minus_beta2)
    scale_Rn = (square_Rn * correction).sqrt_().add_(epsilon)
    parameter_Rn.mul_(decay_factor).addcdiv_(step_size * mean_Rn, scale_Rn, value=-1)
