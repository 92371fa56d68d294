"""Lion without weight decay; after each update no row of a weight matrix is longer than a limit."""

RULESET = "tuned"
SETTINGS = {"schedule.name": "cosine", "schedule.warmup_steps": 10, "weight_clamp.name": "row_norm"}
SPACE = {
    "learning_rate": {"kind": "log", "low": 2e-3, "high": 0.04},
    "weight_clamp.max_norm": {"kind": "log", "low": 0.2, "high": 5.0},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
STATE = ("momentum",)


def update(param, grad, state, hparams):
    rate, beta1, beta2 = (hparams[name].to(param.dtype) for name in ("learning_rate", "beta1", "beta2"))
    direction = grad.lerp(state["momentum"], beta1).sign_()
    param.sub_(rate * direction)
    state["momentum"].lerp_(grad, 1 - beta2)
