"""A network at each of its snapshots, as small pictures and as one moving picture."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb, to_rgb
from PIL import Image

RIGHT, WRONG, NO_PAIR = (to_rgb(colour) for colour in ("#2a7f9e", "#e0813a", "#ffffff"))
COLOURS = 96  # of a file: enough for circles, and a third of the bytes
PALEST = 0.25  # share of colour where the network is not sure at all
MILLISECONDS, LAST_MILLISECONDS = 350, 2500  # how long a frame of the moving picture stays


def answer_grid(right_TT: np.ndarray, certainty_TT: np.ndarray) -> np.ndarray:
    """Colours (T, T, 3): is the answer to a pair right (1, 0; NaN: no pair), paler where it is less sure."""
    colour_TT3 = np.where(right_TT[..., None] == 1, RIGHT, WRONG)
    depth_TT1 = (PALEST + (1 - PALEST) * certainty_TT)[..., None]
    return np.where(np.isnan(right_TT)[..., None], NO_PAIR, 1 + depth_TT1 * (colour_TT3 - 1))  # on white


def training_picture(
    title: str, grid_TT3: np.ndarray, circle_n2: np.ndarray | None, frequency: int | None, file: Path
) -> None:
    """The answers to all pairs beside the tokens in the plane of the strongest frequency, if there is one."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.4))
    left.imshow(grid_TT3, interpolation="nearest")
    left.set(xlabel="b", ylabel="a", xticks=(), yticks=())
    if circle_n2 is None or frequency is None:
        right.set_axis_off()
    else:
        _circle(right, circle_n2, frequency)
    figure.suptitle(title, fontsize=10)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=80)
    plt.close(figure)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(file, optimize=True)


def _circle(axes: Axes, circle_n2: np.ndarray, frequency: int) -> None:
    n = len(circle_n2)
    hue_n = np.arange(n) * frequency % n / n
    colours = hsv_to_rgb(np.stack([hue_n, np.full(n, 0.7), np.full(n, 0.85)], axis=-1))
    axes.scatter(circle_n2[:, 0], circle_n2[:, 1], c=colours, s=12)
    axes.add_patch(plt.Circle((0, 0), 1, fill=False, color="#dddddd", zorder=0))
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xticks=(), yticks=(), aspect="equal")
    axes.set_xlabel(f"tokens, frequency {frequency}")


def moving_picture(pictures: Sequence[Path], file: Path) -> None:
    """Pictures of one size, one after the other, as a GIF that repeats."""
    frames = [Image.open(picture) for picture in pictures]
    stay = [MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS]
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=stay, loop=0, optimize=True)
