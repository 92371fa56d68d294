"""A one-hot MLP with everything the studies vary, as one would write it: plain modules, torch.optim."""

# B examples, P equations, T tokens, V classes

from collections.abc import Callable
from itertools import islice, pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.cases import Case
from benchmarks.plain import TorchLoop
from grokking.data.tasks import Sizes
from grokking.models.one_hot_mlp import OneHotMLPConfig
from grokking.updates.gradient_filters import AverageFilterConfig
from grokking.updates.weight_clamps import RowClampConfig

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "square": torch.square}


class TunedMLP(nn.Module):
    def __init__(self, config: OneHotMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        widths = [2 * sizes.tokens, *config.hidden_widths, sizes.classes]
        self.tokens = sizes.tokens
        self.layers = nn.ModuleList(nn.Linear(*pair, bias=config.bias) for pair in pairwise(widths))
        self.activation = ACTIVATIONS[config.activation]
        self.first_scale = config.hidden_widths[0] ** -config.alpha
        self.output_scale = config.output_scale
        self._initialise(config)

    @torch.no_grad()
    def _initialise(self, config: OneHotMLPConfig) -> None:
        """fan_in_uniform is what nn.Linear does."""
        for name, parameter in self.named_parameters():
            if config.initialisation == "standard_normal":
                nn.init.normal_(parameter) if name.endswith("weight") else nn.init.zeros_(parameter)
            parameter.mul_(config.init_scale)

    def encode(self, a_P: Tensor, b_P: Tensor) -> Tensor:
        return torch.cat([F.one_hot(operand, self.tokens) for operand in (a_P, b_P)], dim=1).float()

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers[0](x) * self.first_scale
        for layer in self.layers[1:]:
            x = layer(self.activation(x))
        return x * self.output_scale


def mean_squared_error(logits_BV: Tensor, answer_B: Tensor) -> Tensor:
    return F.mse_loss(logits_BV, F.one_hot(answer_B, logits_BV.shape[1]).to(logits_BV.dtype))


def stablemax_cross_entropy(logits_BV: Tensor, answer_B: Tensor) -> Tensor:
    """As in arXiv 2501.04697."""
    s_BV = torch.where(logits_BV >= 0, logits_BV + 1, 1 / (1 - logits_BV.clamp(max=0)))
    return F.nll_loss((s_BV / s_BV.sum(1, keepdim=True)).log(), answer_B)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": F.cross_entropy,
    "mean_squared_error": mean_squared_error,
    "stablemax_cross_entropy": stablemax_cross_entropy,
}


class TunedLoop(TorchLoop):
    """AdamW with Grokfast, ⟂Grad and clamped rows where the point of the space has them."""

    def __init__(self, case: Case, device: str) -> None:
        torch.manual_seed(case.replica.seed)
        super().__init__(case, device)
        self.loss_fn = LOSSES[self.config.loss]
        self.slow_grads: list[Tensor] = []  # moving averages of the gradients
        self.last_loss = torch.tensor(0.0)
        mask_P = case.task.validation_mask(case.replica.split_seed)
        rows = case.task.equations.loc[mask_P, ["a", "b", "c"]].to_numpy().T.copy()
        a_P, b_P, self.monitor_answer_P = torch.tensor(rows, device=device)
        self.monitor_inputs = self.model.encode(a_P, b_P)

    def network(self, case: Case) -> TunedMLP:
        return TunedMLP(cast(OneHotMLPConfig, self.config.model), case.task.sizes)

    def update(self, count: int) -> None:
        for index_B in islice(self.batches, count):
            self._set_learning_rate()
            self.last_loss = self.loss(self.inputs[index_B], self.answer_P[index_B])
            self.optimizer.zero_grad(set_to_none=True)
            self.last_loss.backward()
            self._change_gradients()
            self.optimizer.step()
            if isinstance(self.config.weight_clamp, RowClampConfig):
                self._clamp(self.config.weight_clamp.max_norm)

    def loss(self, inputs: Tensor, answer_B: Tensor) -> Tensor:
        return self.loss_fn(self.model(inputs), answer_B)

    @torch.no_grad()
    def accuracy(self) -> float:
        """On all monitored equations."""
        return float((self.model(self.monitor_inputs).argmax(1) == self.monitor_answer_P).float().mean())

    @torch.no_grad()
    def _change_gradients(self) -> None:
        if isinstance(self.config.gradient_filter, AverageFilterConfig):
            self._amplify(self.config.gradient_filter)
        if self.config.gradient_projection == "orthogonal":
            for parameter in self.model.parameters():
                orthogonalise(parameter)

    def _amplify(self, grokfast: AverageFilterConfig) -> None:
        grads = [parameter.grad for parameter in self.model.parameters()]
        self.slow_grads = self.slow_grads or [grad.clone() for grad in grads]
        for slow, grad in zip(self.slow_grads, grads, strict=True):
            slow.lerp_(grad, 1 - grokfast.decay)
            grad.add_(slow, alpha=grokfast.amplitude)

    @torch.no_grad()
    def _clamp(self, max_norm: float) -> None:
        """Rows as in nn.Linear, but in the first layer the weights of one token, which are a column there."""
        for number, layer in enumerate(self.model.layers):
            length = layer.weight.norm(dim=0 if number == 0 else 1, keepdim=True)
            layer.weight.mul_(max_norm / length.clamp(min=max_norm))


def orthogonalise(parameter: Tensor) -> None:
    """⟂Grad (arXiv 2501.04697): remove the gradient's component along the parameter, keep its norm."""
    weight, grad = parameter.flatten(), cast(Tensor, parameter.grad).flatten()
    orthogonal = grad - (weight @ grad) / (weight @ weight + 1e-30) * weight
    orthogonal *= grad.norm() / (orthogonal.norm() + 1e-30)
    parameter.grad = orthogonal.view_as(parameter)
