"""Lion (Chen et al., arXiv 2302.06675): the sign of an interpolated momentum, with decoupled weight decay."""

RULESET = "tuned"
SETTINGS = {"schedule.name": "cosine", "schedule.warmup_steps": 10}
SPACE = {
    "learning_rate": {"kind": "log", "low": 2e-3, "high": 0.04},
    "weight_decay": {"kind": "log", "low": 0.2, "high": 8.0},
    "beta1": {"kind": "linear", "low": 0.6, "high": 0.95},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
STATE = ("momentum",)


def update(param, grad, state, hparams):
    rate, decay, beta1, beta2 = (
        hparams[name].to(param.dtype) for name in ("learning_rate", "weight_decay", "beta1", "beta2")
    )
    direction = grad.lerp(state["momentum"], beta1).sign_()
    param.mul_(1 - rate * decay).sub_(rate * direction)
    state["momentum"].lerp_(grad, 1 - beta2)
