"""A trained replica as arrays: its parameters at a snapshot, what it does on every equation of its task."""

# P equations of the task, T tokens, D embedding width, N hidden width

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokking.data.tasks import Task
from grokking.diagnostics.internals import Internals, Parameters, internals_of, rebuild
from grokking.diagnostics.two_layer_mlp import TwoLayerMLP
from grokking.experiment import Replica

SLICE = 2048  # pairs in one pass: what fits into cache is faster


@dataclass(frozen=True)
class NetworkArrays:
    """One network. What its family does not have is None."""

    parameters: Parameters
    logits_PV: np.ndarray
    features_PN: np.ndarray | None = None  # what the readout is applied to
    embeddings_TD: tuple[np.ndarray, np.ndarray] | None = (
        None  # of a and b; the same array where they share it
    )
    neurons_TN: np.ndarray | None = None  # what tokens add to the first pre-activations, operand a beside b
    neurons_PN: np.ndarray | None = None  # pre-activations of a layer that sees both operands at once
    two_layer: TwoLayerMLP | None = (
        None  # the network as formulas have it: one hidden layer on one-hot inputs
    )

    def is_finite(self) -> bool:
        """False after training has diverged."""
        weights_are = all(np.isfinite(parameter).all() for parameter in self.parameters.values())
        return weights_are and bool(np.isfinite(self.logits_PV).all())


@torch.no_grad()
def arrays_of(replica: Replica, task: Task, parameters: Parameters) -> NetworkArrays:
    """The replica with these parameters on all equations of the task, in their order."""
    model = replica.config.model
    internals = internals_of(model.family, rebuild(replica, task, parameters), model)
    a_P, b_P = torch.tensor(task.equations[["a", "b"]].to_numpy()).T.contiguous()
    slices = zip(a_P.split(SLICE), b_P.split(SLICE), strict=True)
    passes = [internals.run(a, b) for a, b in slices]
    return NetworkArrays(
        parameters=parameters,
        logits_PV=torch.cat([each.logits_BV for each in passes]).numpy(),
        features_PN=_joined([each.features_BN for each in passes]),
        embeddings_TD=_embeddings(internals),
        neurons_TN=None
        if internals.token_neurons is None
        else torch.hstack(internals.token_neurons()).numpy(),
        neurons_PN=_joined([each.neurons_BN for each in passes]),
        two_layer=internals.two_layer,
    )


def _joined(slices: list[Tensor | None]) -> np.ndarray | None:
    present = [each for each in slices if each is not None]
    return torch.cat(present).numpy() if present else None


def _embeddings(internals: Internals) -> tuple[np.ndarray, np.ndarray] | None:
    if internals.embeddings is None:
        return None
    one, other = internals.embeddings
    first = one.detach().numpy()
    return first, first if other is one else other.detach().numpy()
