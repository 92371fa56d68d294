"""The published presets begin and are updated as their sources say; sources in docs/published.md."""

from pathlib import Path

import pytest
import torch

from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.data import tasks
from grokking.data.tasks import TaskConfig
from grokking.engine.stack import ReplicaStack, initial_model
from grokking.experiment import expand

CATALOGUE = read_catalogue(Path(__file__).parents[1])

# Standard deviations of initial tensors in their sources: p numbers, i inputs and o outputs of a layer.
# Uniform in ±u has the standard deviation u / sqrt(3). A tensor that is not listed is a bias and zero.
ONE_HOT_BY_HAND = {  # system 0: normal, sqrt(2 / i)
    "layer_0.weight": 0.10153,  # sqrt(2 / 194)
    "layer_1.weight": 0.08839,  # sqrt(2 / 256)
    "layer_2.weight": 0.08839,
}
EMBEDDING_97 = {  # system 1: Xavier-uniform, sqrt(2 / (i + o)), of a table as of a matrix 97 × 128
    "embedding_a": 0.09428,  # sqrt(2 / 225)
    "embedding_b": 0.09428,
    "first.weight": 0.07217,  # sqrt(2 / 384)
    "layers.0.weight": 0.07527,  # sqrt(2 / 353)
}
EMBEDDING_59 = EMBEDDING_97 | {
    "embedding_a": 0.10342,  # sqrt(2 / 187)
    "embedding_b": 0.10342,
    "layers.0.weight": 0.07968,  # sqrt(2 / 315)
}
WIDE = {  # system 2: normal, sqrt(1 / i)
    "first.weight": 0.07180,  # sqrt(1 / 194)
    "layers.0.weight": 0.04419,  # sqrt(1 / 512)
}
BLOCK = {  # system 3: torch's encoder; single layers uniform in ±1 / sqrt(i), as torch's nn.Linear
    "query.weight": 0.06250,  # sqrt(2 / (128 + 384)): Xavier-uniform of queries, keys and values together
    "key_value.weight": 0.06250,
    "output.weight": 0.05103,  # 1 / sqrt(3 · 128)
    "up.weight": 0.05103,
    "up.bias": 0.05103,
    "down.weight": 0.02552,  # 1 / sqrt(3 · 512)
    "down.bias": 0.02552,
}
ENCODER = {f"blocks.{number}.{name}": std for number in (0, 1) for name, std in BLOCK.items()}
ENCODER |= {"token": 1.0, "position": 1.0, "unembedding.weight": 0.05103}
SHARED = {  # system 4: torch's defaults, every layer has 256 inputs
    "embedding_a": 1.0,
    **{
        f"{layer}.{kind}": 0.03608
        for layer in ("first", "layers.0", "layers.1")
        for kind in ("weight", "bias")
    },
}  # 1 / sqrt(3 · 256)
SOURCES = {
    "numpy_mlp_baseline": ONE_HOT_BY_HAND,
    "numpy_mlp_grokking": ONE_HOT_BY_HAND,
    "numpy_mlp_baseline_long": ONE_HOT_BY_HAND,
    "numpy_mlp_grokking_long": ONE_HOT_BY_HAND,
    "embedding_mlp_published": EMBEDDING_97,
    "embedding_mlp_published_p59": EMBEDDING_59,
    "wide_mlp_published": WIDE,
    "transformer_paper_late": ENCODER,
    "transformer_paper_late_long": ENCODER,
    "transformer_paper_default": ENCODER,
    **{f"shared_mlp_published_f{share}": SHARED for share in (25, 30, 35, 40, 45, 50)},
}


def preset(name):
    """Its first replica, and its task."""
    settings = CATALOGUE.entry("experiments", name)
    of_task = CATALOGUE.entry("tasks", settings["task"])
    return expand(settings, name)[0], tasks.build(load(TaskConfig, of_task, "tasks"), "tasks")


def test_every_published_preset_has_a_source():
    assert set(CATALOGUE.names("experiments", "published")) == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_initial_tensors_have_the_spread_of_their_source(name):
    replica, task = preset(name)
    model = initial_model(replica, task)
    tensors = {key: tensor.detach() for key, tensor in model.named_parameters()}
    assert SOURCES[name].keys() <= tensors.keys()
    for key, tensor in tensors.items():
        if key.endswith("gain"):
            assert (tensor == 1).all(), key
        elif key not in SOURCES[name]:
            assert "bias" in key
            assert (tensor == 0).all(), key
        else:  # five standard errors, which are at most 1 / sqrt(2 n)
            error = 5 / (2 * tensor.numel()) ** 0.5
            assert tensor.std().item() == pytest.approx(SOURCES[name][key], rel=error), key
            assert abs(tensor.mean().item()) < 5 * SOURCES[name][key] / tensor.numel() ** 0.5, key


def test_only_the_matrices_of_system_0_decay():
    """The source adds weight_decay · W to the gradient of each matrix W, nothing to those of biases."""
    replica, task = preset("numpy_mlp_grokking")
    stack = ReplicaStack([replica], task, "cpu")
    assert replica.config.optimizer.weight_decay == 1e-3
    stack.params.data.fill_(1.0)
    stack.update_rule.grad_Rn.zero_()
    stack.update_rule.set_step(1)
    stack.update_rule.apply()
    for name, tensor in stack.params.views(stack.params.data).items():
        expected = 1 - 0.12 * 1e-3 if name.endswith("weight") else 1.0
        assert torch.allclose(tensor, torch.tensor(expected)), name
