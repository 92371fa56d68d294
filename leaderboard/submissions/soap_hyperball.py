"""SOAP and Adam without weight decay; after each update the norm of all weights is what it was at the start."""

import torch

RULESET = "tuned"
SETTINGS = {
    "epsilon": 1e-8,
    "schedule.name": "cosine",
    "schedule.warmup_steps": 10,
    "weight_clamp.name": "initial_norm",
}
SPACE = {
    "learning_rate": {"kind": "log", "low": 3e-3, "high": 0.1},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.98},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
STATE = ("mean", "square")
MATRIX_STATE = {
    "mean": "OI",
    "square": "OI",  # in the bases
    "left": "OO",
    "right": "II",
    "left_basis": "OO",
    "right_basis": "II",
}
PERIOD = 10  # updates between two turns of the bases


def update(param, grad, state, hparams):
    """Adam."""
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    state["mean"].lerp_(grad, 1 - h["beta1"])
    state["square"].lerp_(grad * grad, 1 - h["beta2"])
    mean = state["mean"] / (1 - h["beta1"] ** h["step"])
    square = state["square"] / (1 - h["beta2"] ** h["step"])
    param.sub_(h["learning_rate"] * mean / (square.sqrt() + h["epsilon"]))


def update_matrix(matrix, grad, state, hparams):
    """The first gradient only begins the bases, as in the authors' code; Adam counts from the second."""
    h = {name: value.to(matrix.dtype) for name, value in hparams.items()}
    count = int(hparams["step"].max()) - 1
    if count > 0:
        adam_in_bases(matrix, grad, state, h, count)
    state["left"].lerp_(grad @ grad.mT, 1 - h["beta2"])
    state["right"].lerp_(grad.mT @ grad, 1 - h["beta2"])
    if count == 0:
        for side in ("left", "right"):
            state[side + "_basis"].copy_(torch.linalg.eigh(state[side])[1].flip(-1))
    elif count % PERIOD == 0:
        turn_bases(state)


def adam_in_bases(matrix, grad, state, h, count):
    left, right = state["left_basis"], state["right_basis"]
    state["mean"].lerp_(grad, 1 - h["beta1"])
    state["square"].lerp_((left.mT @ grad @ right).square(), 1 - h["beta2"])
    rate = h["learning_rate"] * (1 - h["beta2"] ** count).sqrt() / (1 - h["beta1"] ** count)
    step = (left.mT @ state["mean"] @ right) / (state["square"].sqrt() + h["epsilon"])
    matrix.sub_(rate * (left @ step @ right.mT))


def turn_bases(state):
    """One step of power iteration each, directions in the order of their eigenvalues."""
    for side, axis in (("left", -2), ("right", -1)):
        basis = state[side + "_basis"]
        image = state[side] @ basis
        order = (basis * image).sum(-2).argsort(-1, descending=True)
        columns = order.unsqueeze(-2).expand_as(image)
        basis.copy_(torch.linalg.qr(image.gather(-1, columns))[0])
        square = state["square"]
        square.copy_(square.gather(axis, order.unsqueeze(-3 - axis).expand_as(square)))
