"""Lion without weight decay; after each update the norm of all weights is what it was at the start."""

RULESET = "tuned"
SETTINGS = {"schedule.name": "cosine", "schedule.warmup_steps": 10, "weight_clamp.name": "initial_norm"}
SPACE = {
    "learning_rate": {"kind": "log", "low": 2e-3, "high": 0.04},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
STATE = ("momentum",)


def update(param, grad, state, hparams):
    rate, beta1, beta2 = (hparams[name].to(param.dtype) for name in ("learning_rate", "beta1", "beta2"))
    direction = grad.lerp(state["momentum"], beta1).sign_()
    param.sub_(rate * direction)
    state["momentum"].lerp_(grad, 1 - beta2)
