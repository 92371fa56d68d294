"""AdEMAMix (Pagliardini et al., arXiv 2409.03137): AdamW with a second, slow average of the gradient, no warm-ups of it."""

RULESET = "tuned"
SETTINGS = {"epsilon": 1e-8, "schedule.name": "cosine", "schedule.warmup_steps": 10}
SPACE = {
    "learning_rate": {"kind": "log", "low": 3e-3, "high": 0.06},
    "weight_decay": {"kind": "log", "low": 0.15, "high": 5.0},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
    "beta3": {"kind": "linear", "low": 0.9, "high": 0.995},
    "alpha": {"kind": "log", "low": 0.5, "high": 8.0},
}
STATE = ("mean", "slow", "square")


def update(param, grad, state, hparams):
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    state["mean"].lerp_(grad, 1 - h["beta1"])
    state["slow"].lerp_(grad, 1 - h["beta3"])
    state["square"].lerp_(grad * grad, 1 - h["beta2"])
    mean = state["mean"] / (1 - h["beta1"] ** h["step"])
    square = state["square"] / (1 - h["beta2"] ** h["step"])
    param.mul_(1 - h["learning_rate"] * h["weight_decay"])
    param.sub_(h["learning_rate"] * (mean + h["alpha"] * state["slow"]) / (square.sqrt() + h["epsilon"]))
