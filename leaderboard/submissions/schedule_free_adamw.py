"""Schedule-Free AdamW (Defazio et al., arXiv 2405.15682), judged where its gradients are taken."""

import torch

RULESET = "tuned"
SETTINGS = {"epsilon": 1e-8, "schedule.warmup_steps": 10}
SPACE = {
    "learning_rate": {"kind": "log", "low": 0.01, "high": 0.3},
    "weight_decay": {"kind": "log", "low": 0.15, "high": 5.0},
    "beta1": {"kind": "linear", "low": 0.7, "high": 0.995},
    "beta2": {"kind": "linear", "low": 0.9, "high": 0.99},
}
STATE = ("fast", "square", "rates")


def update(param, grad, state, hparams):
    """`param` lies between the fast weights and their average: beta1 says how near to the average."""
    h = {name: value.to(param.dtype) for name, value in hparams.items()}
    rate, beta1 = h["learning_rate"], h["beta1"]
    fast = torch.where(h["step"] == 1, param, state["fast"])
    average = (param - (1 - beta1) * fast) / beta1

    state["square"].lerp_(grad * grad, 1 - h["beta2"])
    square = state["square"] / (1 - h["beta2"] ** h["step"])
    fast = fast - rate * (grad / (square.sqrt() + h["epsilon"]) + h["weight_decay"] * param)

    state["rates"].add_(rate**2)
    average = average.lerp(fast, rate**2 / state["rates"])
    state["fast"].copy_(fast)
    param.copy_(fast.lerp(average, beta1))
