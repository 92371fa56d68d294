"""From gradients to new parameters: filter, projection, optimizer, clamp; frozen layers stay."""

# R replicas, n parameters of one replica, O outputs and I inputs of a hidden matrix

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from grokking.engine.flat_parameters import FlatParameters
from grokking.experiment import HYPERPARAMETERS, ExperimentConfig
from grokking.models import Model
from grokking.models.layers import Dense
from grokking.updates.gradient_filters import FILTERS, PROJECTIONS
from grokking.updates.optimizers import OPTIMIZERS
from grokking.updates.weight_clamps import CLAMPS, norm

RATES = ("learning_rate", "adamw_learning_rate")  # what a schedule multiplies
CLOCK = ("step", "rate_factor")

Named = Mapping[str, Tensor]  # the tensors (R, ...) of all replicas by name


class UpdateRule:
    """The updates of R replicas: one recipe, hyperparameters and state of each replica's own."""

    def __init__(self, config: ExperimentConfig, module: nn.Module, parameters: FlatParameters) -> None:
        self.optimizer = OPTIMIZERS[config.optimizer.name]
        self.filter = FILTERS[config.gradient_filter.name]
        self.project = PROJECTIONS[config.gradient_projection]
        self.clamp = CLAMPS[config.weight_clamp.name]
        self.parameters = parameters
        self.hidden = hidden_matrices(module)
        self.frozen = frozen_parameters(module, config.frozen)
        self.state = _state(config, parameters.data)
        names = [*_hyperparameters(config), "initial_norm", *CLOCK]
        self.values = {name: _column(parameters.data) for name in names}

    def put(self, position: int, config: ExperimentConfig) -> None:
        """A fresh replica, whose parameters are there already, takes this position."""
        for state in self.state.values():
            state[position] = 0
        for name, value in _hyperparameters(config).items():
            self.values[name][position] = value
        self.values["initial_norm"][position] = norm(self.parameters.data[position : position + 1])

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        self.state, self.values = (
            {key: tensor[positions] for key, tensor in group.items()} for group in (self.state, self.values)
        )

    def set_clock(self, steps: list[int], factors: list[float]) -> None:
        """Tell the device each replica's step and what its schedule makes of the learning rates."""
        for key, numbers in zip(CLOCK, (steps, factors), strict=True):
            self.values[key].copy_(torch.tensor(numbers, dtype=torch.float64)[:, None], non_blocking=True)

    @torch.no_grad()
    def apply(self, gradient_Rn: Tensor, of_named: Named, named: Named) -> None:
        """Update the parameters; the gradients, `of_named` as single tensors, may be overwritten."""
        rates = {
            name: self.values[name] * self.values["rate_factor"] for name in RATES if name in self.values
        }
        values = self.values | rates
        self.filter.apply(gradient_Rn, self.state, values)
        self.project(of_named.values(), named.values())
        frozen = [(named[name], named[name].clone()) for name in self.frozen]
        self.optimizer.update(self.parameters.data, gradient_Rn, self.state, values, self.matrices)
        self.clamp(self.parameters.data, named.values(), values)
        for parameter, before in frozen:
            parameter.copy_(before)

    def matrices(self, tensor_Rn: Tensor) -> Sequence[Tensor]:
        """The hidden matrices (R, O, I) in a tensor laid out like the parameters, sharing its memory."""
        views = self.parameters.views(tensor_Rn)
        return [part for name, stacked in self.hidden.items() for part in views[name].chunk(stacked, dim=1)]


def hidden_matrices(module: nn.Module) -> dict[str, int]:
    """Names of the weights between hidden layers, and how many matrices each holds one over the other."""
    model: Model = module  # type: ignore[assignment]
    return {
        f"{name}.weight": layer.stacked
        for name, layer in module.named_modules()
        if isinstance(layer, Dense) and name != model.readout
    }


def frozen_parameters(module: nn.Module, frozen: str) -> list[str]:
    """Names of the parameters that never change."""
    model: Model = module  # type: ignore[assignment]
    layers = {"nothing": (), "first_layer": model.first_layer, "readout": (model.readout,)}[frozen]
    names = [name for name, _ in module.named_parameters()]
    return [name for name in names for layer in layers if name == layer or name.startswith(f"{layer}.")]


def _state(config: ExperimentConfig, parameter_Rn: Tensor) -> dict[str, Tensor]:
    state = {slot: torch.zeros_like(parameter_Rn) for slot in OPTIMIZERS[config.optimizer.name].state}
    replicas, width = parameter_Rn.shape
    for slot, (shape, dtype) in FILTERS[config.gradient_filter.name].state(config.gradient_filter).items():
        state[slot] = parameter_Rn.new_zeros(replicas, *shape, width, dtype=dtype or parameter_Rn.dtype)
    return state


def _hyperparameters(config: ExperimentConfig) -> dict[str, float]:
    """Hyperparameters of an update that are each replica's own, by name."""
    return {
        name: getattr(getattr(config, section), name)
        for section, names in HYPERPARAMETERS.items()
        for name in names
        if hasattr(getattr(config, section), name)
    }


def _column(parameter_Rn: Tensor) -> Tensor:
    return torch.zeros(len(parameter_Rn), 1, dtype=torch.float64, device=parameter_Rn.device)
