"""Every diagnostic on networks whose solution is known, as a table: what sees it and what does not."""

# P pairs, T tokens, N hidden width

from functools import partial

import numpy as np
import pandas as pd

from grokking.data.table import Table, all_pairs
from grokking.data.tasks import Task
from grokking.diagnostics import cyclic, known_solutions, suite
from grokking.diagnostics.measured_network import MeasuredNetwork, MeasurementContext, key_frequencies
from grokking.diagnostics.network_arrays import NetworkArrays
from grokking.diagnostics.two_layer_mlp import TwoLayerMLP

MODULUS, WIDTH, TRAIN_FRACTION, SEED = 97, 512, 0.3, 0  # system 2's network and share of pairs
ACTIVATIONS = ("square", "relu")
HUGE, TINY = 1e6, 1e-9  # where a quotient, or a number, is nothing but rounding


def networks() -> dict[str, MeasuredNetwork]:
    """The exact, the memorizing and the random network with each activation, on all pairs of addition."""
    found = {}
    for activation in ACTIVATIONS:
        sizes = (MODULUS, WIDTH, activation)
        trained = round(TRAIN_FRACTION * MODULUS**2)
        memorizing, pair_B, label_B = known_solutions.memorizing_mlp(*sizes, trained, _rng())
        a_P, b_P = all_pairs(MODULUS)
        answer_P, labelled_P = (a_P + b_P) % MODULUS, (a_P + b_P) % MODULUS
        labelled_P[pair_B] = label_B
        train_P = np.isin(np.arange(len(a_P)), pair_B)
        on_sums, on_labels = partial(measured, train_P, answer_P), partial(measured, train_P, labelled_P)
        found[f"{activation}, exact"] = on_sums(known_solutions.cosine_mlp(*sizes, _rng()))
        found[f"{activation}, memorizing"] = on_labels(memorizing)
        found[f"{activation}, random"] = on_sums(known_solutions.random_mlp(*sizes, _rng()))
    return found


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def measured(train_P: np.ndarray, answer_P: np.ndarray, network: TwoLayerMLP) -> MeasuredNetwork:
    """The network on all pairs of addition, as if these answers had been trained on."""
    a_P, b_P = all_pairs(MODULUS)
    equations = pd.DataFrame({"a": a_P, "b": b_P, "c": (a_P + b_P) % MODULUS})
    task = Task(Table("a + b", equations, None), pd.DataFrame({"0": train_P}))
    weights = {"a": network.first_a_TN, "b": network.first_b_TN, "readout": network.readout_VN}
    arrays = NetworkArrays(
        parameters=weights,
        logits_PV=network.logits(a_P, b_P),
        features_PN=network.hidden(a_P, b_P),
        embeddings_TD=(network.first_a_TN, network.first_b_TN),
        neurons_TN=np.hstack([network.first_a_TN, network.first_b_TN]),
        two_layer=network,
    )
    context = MeasurementContext(task, train_P, answer_P, cyclic.order("add", MODULUS))
    return MeasuredNetwork(arrays, context, key_frequencies(arrays, context))


def table() -> pd.DataFrame:
    """A row per diagnostic that one network alone has, a column per network. About 30 s on one core."""
    found = {name: suite.measure(net, before_last=0) for name, net in networks().items()}
    return pd.DataFrame(found).reindex([name for name in suite.NAMES if name in next(iter(found.values()))])


def markdown(found: pd.DataFrame) -> str:
    """The table to three digits, as in docs/diagnostics.md."""
    return found.map(_rounded).rename_axis("diagnostic").to_markdown(disable_numparse=True)


def _rounded(value: float) -> str:
    if value > HUGE:
        return f"> {HUGE:.0e}"
    return "0" if abs(value) < TINY else f"{value:.3g}"
