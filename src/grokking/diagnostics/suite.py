"""Every diagnostic by name: its function, what it needs, at which snapshots it is due.

The names here are the columns of the table, the metrics in MLflow and the list in docs/diagnostics.md.
"""

# P equations of the task, n tokens of the cyclic order, V classes

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from grokking.diagnostics import circuit_progress, fourier, geometry, kernel, landscape, spectrum, stability
from grokking.diagnostics.circuit_progress import PARTS
from grokking.diagnostics.differentiable import DifferentiableNetwork
from grokking.diagnostics.landscape import Langevin
from grokking.diagnostics.measured_network import NEEDS, MeasuredNetwork, MeasurementContext

PHASE_FREQUENCIES = 5  # strongest ones of the embedding, whose phases are compared
COMPONENTS = 4  # of the embedding in circularity, as in Zhong et al.
STRONGEST = 5  # frequencies of an embedding that count as signal, about what a transformer uses
SINGLE_SNAPSHOTS = (0, 8)  # before the portrayed replica's last, at which `SINGLE` is due
SEED = 0  # of what is drawn
EQUATIONS = 256  # of those trained on, whose mean loss is examined
POWER_ITERATIONS = 10  # within a tenth of what 40 give
TRIPLE_ROUNDS = 20  # each with half as many triples as there are tokens
# The pull alone relaxes losses in 1 / (ε γ) = 2.5 steps, so that short chains forget where they began
LANGEVIN = Langevin(step_size=4e-4, localization=1000.0, steps=10, burn_in=10, chains=2)
PARAMETERS = ("<parameter>", "total")  # parts that differ from network to network

Values = dict[str, float]


@dataclass(frozen=True)
class Diagnostic:
    """A column, or one per part: `name/part`."""

    measure: Callable[..., float | Values]  # of a MeasuredNetwork; in SINGLE see there
    parts: tuple[str, ...] = ()  # where `measure` gives a value for each; some networks may lack some
    needs: tuple[str, ...] = ()  # keys of NEEDS, all of them
    every: int = 1  # in snapshots: due at the last one and at each of this distance before it

    def columns(self, name: str) -> list[str]:
        return [f"{name}/{part}" for part in self.parts] or [name]


def accuracies(net: MeasuredNetwork) -> Values:
    """Accuracy on the equations trained on, and on the others."""
    correct_P, train_P = net.arrays.logits_PV.argmax(1) == net.context.answer_P, net.context.train_P
    return {"train": float(correct_P[train_P].mean()), "validation": float(correct_P[~train_P].mean())}


def losses(net: MeasuredNetwork) -> Values:
    """Cross-entropy on all equations of the task."""
    return circuit_progress.part_losses(net.arrays.logits_PV, net.context.answer_P, net.context.train_P)


def sum_losses(net: MeasuredNetwork) -> Values:
    """Restricted loss with every frequency kept; its pairs are those in the cyclic order."""
    return circuit_progress.restricted_loss(net.logits_nnV, *net.answers_and_mask, None)


def restricted_losses(net: MeasuredNetwork) -> Values:
    return circuit_progress.restricted_loss(net.logits_nnV, *net.answers_and_mask, net.key_frequencies)


def excluded_losses(net: MeasuredNetwork) -> Values:
    return circuit_progress.excluded_loss(net.logits_nnV, *net.answers_and_mask, net.key_frequencies)


def energies(net: MeasuredNetwork) -> Values:
    """What else than the sum the logits depend on."""
    return {name: share for name, share in net.logit_energy.items() if name != "a+b"}


def distance_irrelevance(net: MeasuredNetwork) -> float:
    assert net.context.order is not None
    return geometry.distance_irrelevance(net.logits_nnV[:, :, net.context.order.c])


def margins(net: MeasuredNetwork) -> Values:
    logits_PV, answer_P, train_P = net.arrays.logits_PV, net.context.answer_P, net.context.train_P
    return {
        "train": stability.margin(logits_PV[train_P], answer_P[train_P]),
        "validation": stability.margin(logits_PV[~train_P], answer_P[~train_P]),
    }


def parameter_norms(net: MeasuredNetwork) -> Values:
    return stability.weight_norms(net.arrays.parameters)


def neuron_mean(measure: Callable[[np.ndarray], np.ndarray]) -> Callable[[MeasuredNetwork], float]:
    """The mean over neurons of a measure of their power, (K, N) -> (N,)."""
    return lambda net: float(measure(net.neuron_power_KN).mean())


def neuron_snr(net: MeasuredNetwork) -> float:
    """The median over neurons."""
    return float(np.median(fourier.signal_to_noise(net.neuron_power_KN, 1)))


def embedding_snr(net: MeasuredNetwork) -> float:
    return float(fourier.signal_to_noise(net.embedding_power_K[:, None], STRONGEST)[0])


def feature_distance(net: MeasuredNetwork) -> float:
    """From the features at the first snapshot."""
    assert net.initial_features_PN is not None
    return kernel.feature_distance(net.initial_features_PN, net.features_PN)


def phase_quality(net: MeasuredNetwork) -> float:
    strongest = fourier.key_frequencies(net.embedding_power_K, PHASE_FREQUENCIES)
    return geometry.phase_quality(net.embedding_TD, strongest.tolist(), net.embedding_power_K)


def tangent_kernel(net: MeasuredNetwork) -> Values:
    """Class alignment of the exact kernel, whole and by parameter."""
    assert net.arrays.two_layer is not None
    a_P, b_P = net.context.task.equations[["a", "b"]].to_numpy().T
    return kernel.class_alignments(kernel.mlp_kernel(net.arrays.two_layer, a_P, b_P), net.answer_P)


def some_training_equations(context: MeasurementContext) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Operands and answers of a fixed sample."""
    sample = np.random.default_rng(SEED).permutation(np.flatnonzero(context.train_P))[:EQUATIONS]
    a_B, b_B = torch.tensor(context.task.equations[["a", "b"]].to_numpy()[sample]).T.contiguous()
    return a_B, b_B, torch.tensor(context.answer_P[sample])


def top_eigenvalue(network: DifferentiableNetwork, context: MeasurementContext) -> float:
    """Of the mean loss of the sample."""
    equations = some_training_equations(context)
    return landscape.top_eigenvalue(
        lambda: network.mean_loss(*equations), network.parameters, POWER_ITERATIONS, SEED
    )


def smoothed_excess(network: DifferentiableNetwork, context: MeasurementContext) -> Values:
    """How far the same loss rises around the network."""
    equations = some_training_equations(context)
    found = landscape.smoothed_excess(
        lambda: network.mean_loss(*equations), network.parameters, len(equations[0]), LANGEVIN, SEED
    )
    return {"mean": found.mean, "standard_error": found.standard_error}


def gradient_symmetricity(network: DifferentiableNetwork, context: MeasurementContext) -> float:
    """Over random triples of two different operands and any class; nan where it would say nothing."""
    if network.operand_tables is None:
        return np.nan
    random, classes = np.random.default_rng(SEED), context.task.sizes.classes
    tokens = np.intersect1d(context.task.equations["a"], context.task.equations["b"])  # no 0 as divisor
    grads = []
    for _ in range(TRIPLE_ROUNDS):
        a_B, b_B = random.permutation(tokens)[: len(tokens) // 2 * 2].reshape(2, -1)
        triples = (a_B, b_B, random.integers(classes, size=len(a_B)))
        grads.append(network.operand_grads(*(torch.tensor(column) for column in triples)))
    return geometry.gradient_symmetricity(*(np.concatenate(of) for of in zip(*grads, strict=True)))


# What is cheap is due at every snapshot, the rest at every fourth or twelfth. Milliseconds are of the widest
# network, 512 neurons, on one core.
SUITE: dict[str, Diagnostic] = {
    "loss": Diagnostic(losses, PARTS),  # 12
    "accuracy": Diagnostic(accuracies, ("train", "validation")),
    "sum_loss": Diagnostic(sum_losses, PARTS, ("order",)),
    "restricted_loss": Diagnostic(restricted_losses, PARTS, ("keys",)),
    "excluded_loss": Diagnostic(excluded_losses, PARTS, ("keys",)),  # 50
    "r_sum": Diagnostic(lambda net: net.logit_energy["a+b"], needs=("order",)),
    "energy": Diagnostic(energies, ("a", "b", "a-b", "other"), ("order",)),
    "distance_irrelevance": Diagnostic(distance_irrelevance, needs=("order",)),
    "logit_rms": Diagnostic(lambda net: stability.logit_rms(net.arrays.logits_PV)),
    "margin": Diagnostic(margins, ("train", "validation")),
    "softmax_collapse": Diagnostic(lambda net: net.collapse["softmax_collapse"]),
    "zero_loss": Diagnostic(lambda net: net.collapse["zero_loss"]),
    "zero_gradient": Diagnostic(lambda net: net.collapse["zero_gradient"]),
    "embedding_snr": Diagnostic(embedding_snr, needs=("order", "embedding")),
    "mean_free_ratio": Diagnostic(
        lambda net: fourier.mean_free_ratio(net.embedding_TD), needs=("embedding",)
    ),
    "neuron_ipr": Diagnostic(neuron_mean(fourier.inverse_participation_ratio), needs=("order", "neurons")),
    "neuron_gini": Diagnostic(neuron_mean(fourier.gini), needs=("order", "neurons")),
    "neuron_snr": Diagnostic(neuron_snr, needs=("order", "neurons")),
    "participation_ratio": Diagnostic(
        lambda net: spectrum.scatter_ratio(net.scatter_NN), needs=("features",)
    ),
    "class_alignment": Diagnostic(lambda net: net.feature_alignments["whole"], needs=("features",)),
    "uncentred_alignment": Diagnostic(lambda net: net.feature_alignments["uncentred"], needs=("features",)),
    "effective_rank": Diagnostic(
        lambda net: spectrum.effective_rank(net.embedding_singular_values), needs=("embedding",)
    ),
    "energy_effective_rank": Diagnostic(
        lambda net: spectrum.effective_rank(net.embedding_singular_values**2), needs=("embedding",)
    ),
    "feature_distance": Diagnostic(feature_distance, needs=("initial",), every=4),
    "rqi": Diagnostic(
        lambda net: geometry.parallelogram_quality(net.embedding_TD), needs=("embedding",), every=4
    ),
    "hidden_rqi": Diagnostic(
        lambda net: geometry.hidden_quality(net.features_PN, net.answer_P), needs=("features",), every=4
    ),
    "circularity": Diagnostic(
        lambda net: geometry.circularity(net.embedding_TD, COMPONENTS),
        needs=("order", "embedding"),
        every=4,
    ),
    "phase_rqi": Diagnostic(phase_quality, needs=("order", "embedding"), every=4),
    "ntk": Diagnostic(
        tangent_kernel,
        ("whole", "uncentred", "first_a", "first_b", "first_bias", "readout", "readout_bias"),
        ("two_layer",),
        every=12,
    ),
    "norm": Diagnostic(parameter_norms, PARAMETERS),
}
# What takes many grads: functions of a DifferentiableNetwork and a MeasurementContext, for single snapshots
SINGLE: dict[str, Diagnostic] = {
    "top_eigenvalue": Diagnostic(top_eigenvalue),
    "smoothed_excess": Diagnostic(smoothed_excess, ("mean", "standard_error")),
    "gradient_symmetricity": Diagnostic(gradient_symmetricity),
}
# Every column but those of the norms, whose parts are the parameters of the network
NAMES = tuple(
    column
    for name, diagnostic in (SUITE | SINGLE).items()
    if diagnostic.parts != PARAMETERS
    for column in diagnostic.columns(name)
)


def measure(net: MeasuredNetwork, before_last: int) -> Values:
    """What is due at the snapshot with `before_last` others after it; nothing where a network diverged."""
    found: Values = {}
    if not net.arrays.is_finite():
        return found
    for name, diagnostic in SUITE.items():
        if before_last % diagnostic.every == 0 and all(NEEDS[need](net) for need in diagnostic.needs):
            found |= _by_column(name, diagnostic, diagnostic.measure(net))
    return found


def measure_single(network: DifferentiableNetwork, context: MeasurementContext) -> Values:
    """All of SINGLE; nothing of a network that has diverged."""
    found: Values = {}
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters):
        return found
    for name, diagnostic in SINGLE.items():
        found |= _by_column(name, diagnostic, diagnostic.measure(network, context))
    return found


def _by_column(name: str, diagnostic: Diagnostic, value: float | Values) -> Values:
    values = (
        {f"{name}/{part}": of for part, of in value.items()} if isinstance(value, dict) else {name: value}
    )
    unlisted = set(values) - set(diagnostic.columns(name))
    if unlisted and diagnostic.parts != PARAMETERS:
        raise ValueError(f"{', '.join(sorted(unlisted))} would have no column; list its parts at `{name}`")
    return values


def markdown() -> str:
    """The list of docs/diagnostics.md: columns, what a network must have for them, when they are due."""
    lines = ["| columns | needs | due |", "|:--|:--|:--|"]
    for name, diagnostic in SUITE.items():
        due = "every snapshot" if diagnostic.every == 1 else f"every {diagnostic.every}th from the last"
        lines.append(_line(name, diagnostic, due))
    single = "one replica, two snapshots"
    return "\n".join([*lines, *(_line(name, diagnostic, single) for name, diagnostic in SINGLE.items())])


def _line(name: str, diagnostic: Diagnostic, due: str) -> str:
    columns = ", ".join(f"`{column}`" for column in diagnostic.columns(name))
    return f"| {columns} | {', '.join(diagnostic.needs)} | {due} |"
