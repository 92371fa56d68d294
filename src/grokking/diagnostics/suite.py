"""Which diagnostics are computed of every network of an experiment, and at which of its snapshots."""

# P equations of the task, T tokens, n tokens of the cyclic order, D embedding width, N neurons, V classes

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from grokking.data.tasks import Task
from grokking.diagnostics import fourier, geometry, kernel, landscape, progress, spectrum, stability
from grokking.diagnostics.cyclic import Order
from grokking.diagnostics.landscape import Langevin
from grokking.diagnostics.plain import Plain
from grokking.diagnostics.view import View

KEY_SHARE = (
    0.99  # of the final logits' power as functions of the sum: key frequencies are the fewest that hold it
)
PHASE_FREQUENCIES = 5  # strongest ones of the embedding, whose phases are compared
COMPONENTS = 4  # of the embedding in circularity, as in Zhong et al.
STRONGEST = 5  # frequencies of an embedding that count as signal, about what a transformer uses
SINGLE = (0, 8)  # snapshots before the portrayed replica's last at which `measure_single` is due
SEED = 0  # of what it draws
EQUATIONS = 256  # of those trained on, whose mean loss is examined
POWER_ITERATIONS = 10  # within a tenth of what 40 give
TRIPLE_ROUNDS = 20  # each with half as many triples as there are tokens
# The pull alone relaxes losses in 1 / (ε γ) = 2.5 steps, so that short chains forget where they began
LANGEVIN = Langevin(step_size=4e-4, localisation=1000.0, steps=10, burn_in=10, chains=2)

Values = dict[str, float]


@dataclass(frozen=True)
class Setting:
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
class Subject:
    """A network in its setting, with the frequencies that the last snapshot's logits have as key ones."""

    view: View
    setting: Setting
    key_frequencies: list[int] | None

    @cached_property
    def logits_nnV(self) -> np.ndarray:
        """Logits of all pairs in the cyclic order; classes in their own."""
        return self.view.logits_PV[self.setting.pair_nn]

    @cached_property
    def embedding_power_KD(self) -> np.ndarray:
        return fourier.power(self.setting.tokens(self.view.embedding_a_TD))

    @cached_property
    def neuron_power_KN(self) -> np.ndarray:
        """Of each neuron along either operand: of what tokens add to it, or of all that it is."""
        if self.view.neurons_TN is not None:
            return fourier.power(self.setting.tokens(self.view.neurons_TN))
        assert self.view.neurons_PN is not None
        return fourier.pair_power(self.view.neurons_PN[self.setting.pair_nn])


def key_frequencies(view: View, setting: Setting) -> list[int] | None:
    """The key frequencies of a final network; None without a cyclic order."""
    if setting.order is None:
        return None
    power_K = progress.sum_power(view.logits_PV[setting.pair_nn])
    return progress.key_frequencies(power_K, KEY_SHARE).tolist()


def losses(on: Subject) -> Values:
    """Cross-entropy and accuracy by part, on all equations of the task."""
    setting, logits_PV = on.setting, on.view.logits_PV
    correct_P = logits_PV.argmax(1) == setting.answer_P
    found = progress.part_losses(logits_PV, setting.answer_P, setting.train_P)
    parts = {"train": correct_P[setting.train_P], "validation": correct_P[~setting.train_P]}
    return _named("loss", found) | {f"accuracy/{part}": float(of.mean()) for part, of in parts.items()}


def progress_losses(on: Subject) -> Values:
    """Losses with part of the logits, on the pairs of the cyclic order: all but those with a zero."""
    if on.setting.order is None:
        return {}
    pair_nn, keys = on.setting.pair_nn, on.key_frequencies
    answer_nn, train_nn = on.setting.answer_P[pair_nn], on.setting.train_P[pair_nn]
    pairs = on.logits_nnV, answer_nn, train_nn
    return {
        **_named("sum_loss", progress.restricted_loss(*pairs, None)),
        **_named("restricted_loss", progress.restricted_loss(*pairs, keys)),
        **_named("excluded_loss", progress.excluded_loss(*pairs, keys)),
    }


def logit_energy(on: Subject) -> Values:
    """What the logits depend on."""
    if on.setting.order is None:
        return {}
    shares = fourier.dependence_energy(on.logits_nnV)
    shares = {"r_sum" if name == "a+b" else f"energy/{name}": value for name, value in shares.items()}
    in_order_nnn = on.logits_nnV[:, :, on.setting.order.c]
    return shares | {"distance_irrelevance": geometry.distance_irrelevance(in_order_nnn)}


def stabilities(on: Subject) -> Values:
    """Scale of logits and weights; what floating point has stopped among the training equations."""
    train_P, answer_P, logits_PV = on.setting.train_P, on.setting.answer_P, on.view.logits_PV
    trained = logits_PV[train_P], answer_P[train_P]
    return {
        "logit_rms": stability.logit_rms(logits_PV),
        "margin/train": stability.margin(*trained),
        "margin/validation": stability.margin(logits_PV[~train_P], answer_P[~train_P]),
        **stability.collapse(*trained),
        **_named("norm", stability.weight_norms(on.view.parameters)),
    }


def concentration(on: Subject) -> Values:
    """Frequencies of neurons one by one, and of the embedding as a whole."""
    if on.setting.order is None:
        return {}
    power_KD = on.embedding_power_KD
    found = {
        "embedding_snr": float(fourier.signal_to_noise(power_KD.sum(1, keepdims=True), STRONGEST)[0]),
        "mean_free_ratio": fourier.mean_free_ratio(on.setting.tokens(on.view.embedding_a_TD)),
    }
    neurons_KN = on.neuron_power_KN
    return found | {
        "neuron_ipr": float(fourier.inverse_participation_ratio(neurons_KN).mean()),
        "neuron_gini": float(fourier.gini(neurons_KN).mean()),
        "neuron_snr": float(np.median(fourier.signal_to_noise(neurons_KN, 1))),
    }


def features(on: Subject) -> Values:
    """The last hidden layer: how many directions, and whether pairs of equal answer are alike."""
    hidden_PN, answer_P = on.view.features_PN, on.setting.task.equations["c"].to_numpy()
    scatter_NN = spectrum.scatter(hidden_PN)
    alignment = kernel.feature_alignments(hidden_PN, scatter_NN, answer_P)
    return {
        "participation_ratio": spectrum.scatter_ratio(scatter_NN),
        "class_alignment": alignment["whole"],
        "uncentred_alignment": alignment["uncentred"],
    }


def ranks(on: Subject) -> Values:
    embedding = on.view.embedding()
    return {
        "effective_rank": spectrum.effective_rank(embedding),
        "energy_effective_rank": spectrum.energy_effective_rank(embedding),
    }


def shapes(on: Subject) -> Values:
    """Lines and circles of the embedding; the last layer's clusters."""
    embedding_TD = on.setting.tokens(on.view.embedding_a_TD)
    found = {
        "rqi": geometry.parallelogram_quality(embedding_TD),
        "hidden_rqi": geometry.hidden_quality(on.view.features_PN, on.setting.task.equations["c"].to_numpy()),
    }
    if on.setting.order is None:
        return found
    power_K = on.embedding_power_KD.sum(1)
    strongest = fourier.key_frequencies(power_K, PHASE_FREQUENCIES)
    return found | {
        "circularity": geometry.circularity(embedding_TD, COMPONENTS),
        "phase_rqi": geometry.phase_quality(embedding_TD, strongest.tolist(), power_K),
    }


def tangent_kernel(on: Subject) -> Values:
    """The exact kernel of a two-layer network on one-hot inputs, whole and by parameter."""
    a_P, b_P = on.setting.task.equations[["a", "b"]].to_numpy().T
    parts = on.view.tangent_kernel(a_P, b_P)
    if parts is None:
        return {}
    return _named("ntk", kernel.class_alignments(parts, on.setting.task.equations["c"].to_numpy()))


def _named(kind: str, values: Values) -> Values:
    return {f"{kind}/{name}": value for name, value in values.items()}


def surroundings(network: Plain, setting: Setting) -> Values:
    """The loss around a network, of a fixed sample of its training equations: curvature and flatness."""
    sample = np.random.default_rng(SEED).permutation(np.flatnonzero(setting.train_P))[:EQUATIONS]
    a_B, b_B = torch.tensor(setting.task.equations[["a", "b"]].to_numpy()[sample]).T.contiguous()
    answer_B = torch.tensor(setting.answer_P[sample])
    around = (lambda: network.mean_loss(a_B, b_B, answer_B)), network.parameters
    flatness = landscape.local_learning_coefficient(*around, len(sample), LANGEVIN, SEED)
    return {
        "top_eigenvalue": landscape.top_eigenvalue(*around, POWER_ITERATIONS, SEED),
        "learning_coefficient": flatness.mean,
        "learning_coefficient_error": flatness.standard_error,
    }


def symmetricity(network: Plain, setting: Setting) -> Values:
    """Gradient symmetricity over random triples of two different operands and any class."""
    if network.embeddings is None:
        return {}
    random, classes = np.random.default_rng(SEED), setting.task.sizes.classes
    tokens = np.intersect1d(setting.task.equations["a"], setting.task.equations["b"])  # no 0 as divisor
    gradients = []
    for _ in range(TRIPLE_ROUNDS):
        a_B, b_B = random.permutation(tokens)[: len(tokens) // 2 * 2].reshape(2, -1)
        triples = (a_B, b_B, random.integers(classes, size=len(a_B)))
        gradients.append(network.operand_gradients(*(torch.tensor(column) for column in triples)))
    of_a, of_b = (np.concatenate(of) for of in zip(*gradients, strict=True))
    return {"gradient_symmetricity": geometry.gradient_symmetricity(of_a, of_b)}


def measure_single(network: Plain, setting: Setting) -> Values:
    """What takes many gradients, for single snapshots."""
    return surroundings(network, setting) | symmetricity(network, setting)


# The rule: what is cheap at every snapshot, the rest at every fourth or twelfth, counted back from the last.
# Milliseconds are of the widest network, 512 neurons, on one core.
SUITE: dict[Callable[[Subject], Values], int] = {
    losses: 1,  # 12
    progress_losses: 1,  # 50
    logit_energy: 1,  # 5
    stabilities: 1,  # 5
    concentration: 1,  # 2
    features: 1,  # 70
    ranks: 1,  # 9
    shapes: 4,  # 130
    tangent_kernel: 12,  # 700
}
NAMES = (
    *(f"loss/{part}" for part in progress.PARTS), "accuracy/train", "accuracy/validation",
    *(f"{kind}_loss/{part}" for kind in ("sum", "restricted", "excluded") for part in progress.PARTS),
    "energy/a", "energy/b", "r_sum", "energy/a-b", "energy/other", "distance_irrelevance",
    "logit_rms", "margin/train", "margin/validation", "softmax_collapse", "zero_loss", "zero_gradient",
    "embedding_snr", "mean_free_ratio", "neuron_ipr", "neuron_gini", "neuron_snr",
    "participation_ratio", "class_alignment", "uncentred_alignment", "effective_rank",
    "energy_effective_rank", "rqi", "hidden_rqi", "circularity", "phase_rqi",
    "top_eigenvalue", "learning_coefficient", "learning_coefficient_error", "gradient_symmetricity",
    *(f"ntk/{part}" for part in
      ("whole", "uncentred", "first_a", "first_b", "first_bias", "readout", "readout_bias")),
)  # fmt: skip  # and norm/<parameter>, norm/total


def measure(on: Subject, before_last: int) -> Values:
    """Whatever is due at the snapshot that has so many after it."""
    due = [function for function, every in SUITE.items() if before_last % every == 0]
    return {name: value for function in due for name, value in function(on).items()}
