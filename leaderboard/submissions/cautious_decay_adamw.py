"""AdamW that decays only weights that its step makes smaller, too (Chen et al., arXiv 2510.12402)."""

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
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    state["mean"].lerp_(grad, 1 - h["beta1"])
    state["square"].lerp_(grad * grad, 1 - h["beta2"])
    mean = state["mean"] / (1 - h["beta1"] ** h["step"])
    square = state["square"] / (1 - h["beta2"] ** h["step"])
    step = mean / (square.sqrt() + h["epsilon"])
    decays = (step * param >= 0).to(param.dtype)
    param.sub_(h["learning_rate"] * (step + h["weight_decay"] * decays * param))
