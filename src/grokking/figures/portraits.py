"""One network's frequencies before and after training."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from grokking.figures.style import TRAIN, VALIDATION, save

WEAKEST = 1e-4  # of the largest entry of a logit spectrum: what is shown as empty


def portrait(arrays: Mapping[str, np.ndarray], title: str, file: Path) -> None:
    """Spectra before and after, the logits' in two dimensions, and tokens in their frequencies' planes.

    `arrays` are those of diagnostics.snapshots.portrait.
    """
    figure, panels = plt.subplots(2, 4, figsize=(13, 6.2))
    first, last = (f"step {step:,}" for step in arrays["steps"])
    top = iter(panels[0])
    _embedding(next(top), arrays["embedding_power"], (first, last))
    for power_KN, when in zip(arrays["neuron_power"], (first, last), strict=True):
        _neurons(next(top), power_KN, f"neurons, {when}")
    _spectrum(next(top), arrays["logit_spectrum"][1], f"logits, {last}")
    planes = zip(arrays["frequencies"], *arrays["plane"], strict=True)
    for axes, (frequency, before_n2, after_n2) in zip(panels[1], planes, strict=False):
        _plane(axes, before_n2, after_n2, int(frequency))
    for axes in panels[1, len(arrays["frequencies"]) :]:
        axes.set_axis_off()
    figure.suptitle(f"{title}, replica {arrays['replica'][0]}", fontsize=10)
    save(figure, file)


def _embedding(axes: Axes, power_2K: np.ndarray, when: tuple[str, str]) -> None:
    for power_K, colour, label in zip(power_2K, (TRAIN, VALIDATION), when, strict=True):
        axes.plot(1 + np.arange(len(power_K)), power_K / power_K.sum(), ".-", color=colour, label=label, lw=1)
    axes.set(xlabel="frequency", ylabel="share of power", ylim=(0, None))
    axes.set_title("embedding, operand a", fontsize=9)
    axes.legend()


def _neurons(axes: Axes, power_KN: np.ndarray, title: str) -> None:
    """Each neuron's spectrum as a column, ordered by its strongest frequency."""
    share_KN = power_KN / power_KN.sum(0)
    order = np.lexsort((-share_KN.max(0), share_KN.argmax(0)))
    extent = (0, share_KN.shape[1], 0.5, len(share_KN) + 0.5)
    axes.imshow(
        share_KN[:, order], aspect="auto", origin="lower", cmap="Blues", vmin=0, vmax=1, extent=extent,
        interpolation="nearest",
    )  # fmt: skip
    axes.set(xlabel="neuron, both operands", ylabel="frequency")
    axes.set_title(title, fontsize=9)
    axes.grid(False)


def _spectrum(axes: Axes, energy_nn: np.ndarray, title: str) -> None:
    """Energy by frequency of a and b, zero in the middle; functions of a + b lie on the rising diagonal."""
    shifted_nn = np.fft.fftshift(energy_nn)
    half = len(energy_nn) // 2
    extent = (-half - 0.5, len(energy_nn) - half - 0.5) * 2
    decades = np.log10(np.maximum(shifted_nn / shifted_nn.max(), WEAKEST))
    axes.imshow(decades.T, origin="lower", cmap="Blues", extent=extent, interpolation="nearest")
    axes.set(xlabel="frequency of a", ylabel="frequency of b")
    axes.set_title(f"{title} (log)", fontsize=9)
    axes.grid(False)


def _plane(axes: Axes, before_n2: np.ndarray, after_n2: np.ndarray, frequency: int) -> None:
    """The tokens at the end, coloured by the phase that they should have, and at the start in grey."""
    phase_n = frequency * np.arange(len(after_n2)) % len(after_n2)
    axes.scatter(before_n2[:, 0], before_n2[:, 1], color="lightgrey", s=6)
    axes.scatter(after_n2[:, 0], after_n2[:, 1], c=phase_n, cmap="twilight", s=14)
    reach = 1.15 * max(1.0, float(np.abs(after_n2).max()))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_title(f"tokens at frequency {frequency}; grey: at the start", fontsize=9)
