"""Weight decay that leaves some parameters alone, as system 0's leaves its biases."""

# R replicas, n parameters of one replica, U of them without decay

from collections.abc import Callable

import torch
from torch import Tensor

from grokking.engine.flat_parameters import FlatParameters
from grokking.models.model import Model
from grokking.updates.optimizers import HParams, Optimizer, State

Update = Callable[[Tensor, Tensor, State, HParams, int], None]


def spared_update(optimizer: Optimizer, model: Model, params: FlatParameters) -> Update:
    """The optimizer's update, in which the parameters `model.undecayed` feel no weight decay."""
    columns_U = _columns(model, params)
    if not len(columns_U):
        return optimizer.update

    def update(param_Rn: Tensor, grad_Rn: Tensor, state: State, hparams: HParams, step: int) -> None:
        tensors = {"param": param_Rn} | {name: state[name] for name in optimizer.state}
        apart = {name: tensor[:, columns_U] for name, tensor in tensors.items()}
        optimizer.update(apart["param"], grad_Rn[:, columns_U], apart, _without_decay(hparams), step)
        optimizer.update(param_Rn, grad_Rn, state, hparams, step)
        for name, tensor_RU in apart.items():
            tensors[name][:, columns_U] = tensor_RU

    return update


def _columns(model: Model, params: FlatParameters) -> Tensor:
    """Where the entries of these parameters are among the n."""
    named = zip(params.shapes, params.sizes, strict=True)
    undecayed_n = torch.cat([torch.full((size,), name in model.undecayed) for name, size in named])
    return undecayed_n.nonzero().flatten().to(params.data.device)


def _without_decay(hparams: HParams) -> HParams:
    return hparams | {name: 0 * value for name, value in hparams.items() if name.endswith("weight_decay")}
