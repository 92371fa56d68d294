"""A network as diagnostics see it: its arrays, which equations there are, and what several of them share."""

# P equations of the task, T tokens, n tokens of the cyclic order, D embedding width, N neurons, K frequencies
# V classes

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grokking.data.tasks import Task
from grokking.diagnostics import circuit_progress, fourier, kernel, spectrum, stability
from grokking.diagnostics.cyclic import Order
from grokking.diagnostics.network_arrays import NetworkArrays

KEY_SHARE = (
    0.99  # of the last logits' power as functions of the sum: key frequencies are the fewest that hold it
)


@dataclass(frozen=True)
class MeasurementContext:
    """What diagnostics must know besides the network: which equations there are and which are trained on."""

    task: Task
    train_P: np.ndarray
    answer_P: np.ndarray  # as trained on: wrong ones among them where there is label noise
    order: Order | None  # None where the operation is not that of a cyclic group

    @cached_property
    def pair_nn(self) -> np.ndarray:
        """The equation of each pair in the cyclic order; pairs with a zero are left out of products."""
        assert self.order is not None
        tokens = self.task.sizes.tokens
        at_TT = np.full((tokens, tokens), -1)
        at_TT[self.task.equations["a"], self.task.equations["b"]] = np.arange(len(self.task.equations))
        return self.order.grid(at_TT)

    def tokens(self, table_TD: np.ndarray) -> np.ndarray:
        """The rows of a table of operand a in the order in which it is added, or as they are."""
        return table_TD if self.order is None else table_TD[self.order.a]


@dataclass(frozen=True)
class MeasuredNetwork:
    """One network in its context. What needs an array that the family lacks must not be asked for."""

    arrays: NetworkArrays
    context: MeasurementContext
    key_frequencies: list[int] | None = None  # of the same replica's last network
    initial_features_PN: np.ndarray | None = None  # of its first one

    @cached_property
    def logits_nnV(self) -> np.ndarray:
        """Logits of all pairs in the cyclic order; classes in their own."""
        return self.arrays.logits_PV[self.context.pair_nn]

    @cached_property
    def logit_energy(self) -> dict[str, float]:
        """Shares of the logits' energy by what they depend on."""
        return fourier.dependence_energy(self.logits_nnV)

    @cached_property
    def collapse(self) -> dict[str, float]:
        """What floating point has stopped among the equations trained on."""
        train_P = self.context.train_P
        return stability.collapse(self.arrays.logits_PV[train_P], self.context.answer_P[train_P])

    @cached_property
    def answers_and_mask(self) -> tuple[np.ndarray, np.ndarray]:
        """Answers of all pairs in the cyclic order, (n, n), and whether each is trained on."""
        return self.context.answer_P[self.context.pair_nn], self.context.train_P[self.context.pair_nn]

    @cached_property
    def answer_P(self) -> np.ndarray:
        """The operation's answers, without label noise."""
        return self.context.task.equations["c"].to_numpy()

    @cached_property
    def features_PN(self) -> np.ndarray:
        return _present(self.arrays.features_PN)

    @cached_property
    def scatter_NN(self) -> np.ndarray:
        return spectrum.scatter(self.features_PN)

    @cached_property
    def feature_alignments(self) -> dict[str, float]:
        return kernel.feature_alignments(self.features_PN, self.scatter_NN, self.answer_P)

    @cached_property
    def embedding_TD(self) -> np.ndarray:
        """That of operand a, in the cyclic order."""
        assert self.arrays.embeddings_TD is not None
        return self.context.tokens(self.arrays.embeddings_TD[0])

    @cached_property
    def embedding_singular_values(self) -> np.ndarray:
        """Of the tables of both operands, one below the other, or of the one they share."""
        assert self.arrays.embeddings_TD is not None
        one_TD, other_TD = self.arrays.embeddings_TD
        both = one_TD if other_TD is one_TD else np.vstack([one_TD, other_TD])
        return np.linalg.svd(both, compute_uv=False)

    @cached_property
    def embedding_power_K(self) -> np.ndarray:
        return fourier.power(self.embedding_TD).sum(1)

    @cached_property
    def neuron_power_KN(self) -> np.ndarray:
        """Of each neuron along either operand: of what tokens add to it, or of all that it is."""
        if self.arrays.neurons_TN is not None:
            return fourier.power(self.context.tokens(self.arrays.neurons_TN))
        return fourier.pair_power(_present(self.arrays.neurons_PN)[self.context.pair_nn])


def _present(array: np.ndarray | None) -> np.ndarray:
    assert array is not None
    return array


def key_frequencies(arrays: NetworkArrays, context: MeasurementContext) -> list[int] | None:
    """The key frequencies of a replica's last network; None without a cyclic order, or where it diverged."""
    if context.order is None or not arrays.is_finite():
        return None
    power_K = circuit_progress.sum_power(arrays.logits_PV[context.pair_nn])
    return circuit_progress.key_frequencies(power_K, KEY_SHARE).tolist()


NEEDS: dict[str, Callable[[MeasuredNetwork], bool]] = {
    "order": lambda net: net.context.order is not None,
    "keys": lambda net: net.context.order is not None and net.key_frequencies is not None,
    "features": lambda net: net.arrays.features_PN is not None,
    "initial": lambda net: net.arrays.features_PN is not None and net.initial_features_PN is not None,
    "embedding": lambda net: net.arrays.embeddings_TD is not None,
    "neurons": lambda net: net.arrays.neurons_TN is not None or net.arrays.neurons_PN is not None,
    "two_layer": lambda net: net.arrays.two_layer is not None,
}
