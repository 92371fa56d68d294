"""AdamW that updates only where its step and the gradient agree in sign (Liang et al., arXiv 2411.16085)."""

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
    agrees = (mean * grad > 0).to(param.dtype)
    agrees = agrees / agrees.mean(dim=1, keepdim=True).clamp(min=1e-3)
    param.mul_(1 - h["learning_rate"] * h["weight_decay"])
    param.sub_(h["learning_rate"] * agrees * mean / (square.sqrt() + h["epsilon"]))
