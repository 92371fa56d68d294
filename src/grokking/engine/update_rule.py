"""An update: learning rates, gradient filter, projection, optimizer, clamp, frozen parameters."""

# R replicas, n parameters of one replica, O outputs and I inputs of a hidden matrix

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from grokking.engine.flat_tensors import FlatTensors
from grokking.experiment import Replica
from grokking.models.layers import Dense
from grokking.models.model import Model
from grokking.updates.gradient_filters import FILTERS
from grokking.updates.optimizers import OPTIMIZERS, HParams, State
from grokking.updates.projections import PROJECTIONS
from grokking.updates.schedules import factor
from grokking.updates.weight_clamps import CLAMPS, total_norm


class UpdateRule:
    """One sequence of operations for R replicas, each with its own hyperparameters and state."""

    def __init__(self, replicas: Sequence[Replica], model: Model, params: FlatTensors) -> None:
        self.config = config = replicas[0].config
        self.optimizer = OPTIMIZERS[config.optimizer.name]
        self.filter = FILTERS[config.gradient_filter.name]
        self.project = PROJECTIONS[config.gradient_projection]
        self.clamp = CLAMPS[config.weight_clamp.name]
        self.params, self.grad_Rn = params, torch.zeros_like(params.data)
        self.matrix_count = hidden_matrices(model)
        self.frozen = frozen_parameters(model, config.frozen)
        self.state = {name: torch.zeros_like(params.data) for name in self.optimizer.state_names}
        self.state |= self.filter.initial_state(config.gradient_filter, params.data)
        self.state |= self._matrix_state()
        self.hparams = _hparams(replicas, params.data) | {"initial_norm": total_norm(params.data)}
        self.hparams["step"] = torch.zeros_like(self.hparams["learning_rate"])
        self.rates = {k: v.clone() for k, v in self.hparams.items() if k.endswith("learning_rate")}
        if model.undecayed and not self.optimizer.decoupled:
            decayed_n = params.mask(model.undecayed).logical_not()
            self.hparams["weight_decay"] = self.hparams["weight_decay"] * decayed_n
        self._make_views()

    def select(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only, to which `params` belong by now."""
        self.grad_Rn = self.grad_Rn[positions]
        self.state = {name: tensor[positions] for name, tensor in self.state.items()}
        self.hparams = {name: tensor[positions] for name, tensor in self.hparams.items()}
        self.rates = {name: tensor[positions] for name, tensor in self.rates.items()}
        self._make_views()

    def set_step(self, step: int) -> None:
        """Give the hyperparameters their values at this step: its number, from 1, and the scheduled rates."""
        self.hparams["step"].fill_(step)
        rate_factor = factor(self.config.schedule, step, self.config.budget)
        for name, rate in self.rates.items():
            self.hparams[name].copy_(rate_factor * rate)

    @torch.no_grad()
    def apply(self) -> None:
        """Make one update of the parameters by `grad_Rn`, which may be overwritten."""
        params = self.named_params
        frozen = {name: params[name].clone() for name in self.frozen}
        self.filter.apply(self.grad_Rn, self.state, self.hparams)
        self.project(self.named_grads.values(), params.values())
        self._optimize()
        self.clamp(self.params.data, params.values(), self.hparams)
        for name, tensor in frozen.items():
            params[name].copy_(tensor)

    def _optimize(self) -> None:
        """Update all parameters; hidden matrices by a rule of their own where the optimizer has one."""
        update, update_matrices = self.optimizer.update, self.optimizer.update_matrices
        matrices = self._matrices(self.named_params) if update_matrices else []
        before = [matrix.clone() for matrix in matrices]
        update(self.params.data, self.grad_Rn, self.state, self.hparams)
        if update_matrices:
            for matrix, old in zip(matrices, before, strict=True):
                matrix.copy_(old)
            names = self.optimizer.matrix_state
            states = [{name: self.state[f"{name}/{i}"] for name in names} for i in range(len(matrices))]
            update_matrices(matrices, self._matrices(self.named_grads), states, self.hparams)

    def _matrix_state(self) -> State:
        """Zeros for the state of each hidden matrix, which is named by the matrix's number."""
        matrices = self._matrices(self.params.views(self.params.data))
        sizes = [dict(zip("ROI", matrix.shape, strict=True)) for matrix in matrices]
        return {
            f"{name}/{i}": self.params.data.new_zeros([size[axis] for axis in f"R{axes}"])
            for i, size in enumerate(sizes)
            for name, axes in self.optimizer.matrix_state.items()
        }

    def _make_views(self) -> None:
        """Make the views of single tensors once: making them takes as long as a small operation."""
        self.named_params = self.params.views(self.params.data)
        self.named_grads = self.params.views(self.grad_Rn)

    def _matrices(self, named: Mapping[str, Tensor]) -> list[Tensor]:
        """The hidden matrices (R, O, I) among these tensors."""
        return [part for name, count in self.matrix_count.items() for part in named[name].chunk(count, dim=1)]


def hidden_matrices(model: Model) -> dict[str, int]:
    """Names of the weights of all dense layers but the readout, and how many matrices each holds."""
    return {
        f"{name}.weight": layer.matrices
        for name, layer in model.named_modules()
        if isinstance(layer, Dense) and name != model.readout
    }


def frozen_parameters(model: Model, frozen: str) -> list[str]:
    """Names of the parameters that never change."""
    layers = {"nothing": (), "first_layer": model.first_layer, "readout": (model.readout,)}[frozen]
    starts = tuple(f"{layer}." for layer in layers)
    return [name for name, _ in model.named_parameters() if f"{name}.".startswith(starts)]


def _hparams(replicas: Sequence[Replica], param_Rn: Tensor) -> HParams:
    """Each hyperparameter of the update as a column (R, 1)."""
    rows = [replica.config.update_hparams() for replica in replicas]
    return {
        name: torch.tensor([[row[name]] for row in rows], dtype=torch.float64, device=param_Rn.device)
        for name in rows[0]
    }
