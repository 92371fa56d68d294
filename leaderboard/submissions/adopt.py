"""ADOPT (Taniguchi et al., arXiv 2411.02853): Adam that divides by the past square, then averages."""

RULESET = "tuned"
SETTINGS = {"epsilon": 1e-8, "schedule.name": "cosine", "schedule.warmup_steps": 10}
SPACE = {
    "learning_rate": {"kind": "log", "low": 8e-3, "high": 0.12},
    "weight_decay": {"kind": "log", "low": 0.15, "high": 5.0},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
STATE = ("mean", "square")


def update(param, grad, state, hparams):
    """The first step only fills `square`: a limit of 0 stops the direction, a rate of 0 the decay."""
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    before = h["step"] - 1
    rate = h["learning_rate"] * (before > 0)
    limit = before**0.25
    direction = (grad / state["square"].sqrt().clamp_(min=h["epsilon"])).clamp_(-limit, limit)
    state["mean"].lerp_(direction, 1 - h["beta1"])
    param.mul_(1 - rate * h["weight_decay"]).sub_(rate * state["mean"])
    state["square"].lerp_(grad * grad, 1 - h["beta2"] * (before > 0))
