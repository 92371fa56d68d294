"""The plain loops train the engine's own networks; counted operations are those that run."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode, shape_wrapper

from benchmarks import engine, flops, page, plain, stacks
from benchmarks.cases import CASES as NAMES
from benchmarks.cases import Case, prepare
from benchmarks.timing import Settings
from grokking.data.batches import FullBatchConfig, MinibatchConfig
from grokking.models import numpy_mlp
from grokking.training.loop import learner

CASES = {name: prepare(name) for name in NAMES}
TORCH = {name: case for name, case in CASES.items() if not case.by_hand}


def in_double(case: Case) -> Case:
    config = replace(case.replica.config, precision="float64")
    return replace(case, replica=replace(case.replica, config=config))


def with_plain_names(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The engine's parameters of one replica under the names and in the layout of the plain model."""
    if "token" in ours:
        return dict(renamed for name in ours for renamed in plain_transformer(ours, name))
    dense = {name: p for name, p in ours.items() if name.startswith("layers.")}
    layers = {f"layers.{2 * int(n) + 2}.{kind}": p for (_, n, kind), p in split_names(dense)}
    layers |= {"layers.0.weight": ours["first.weight"], "layers.0.bias": ours["first.bias"]}
    if "embedding_a" not in ours:
        return layers | {"layers.0.weight": ours["first.weight"].T}
    embedding_b = ours.get("embedding_b", ours["embedding_a"])
    return layers | {"embedding_a.weight": ours["embedding_a"], "embedding_b.weight": embedding_b}


def split_names(parameters: dict[str, Tensor]) -> Iterator[tuple[list[str], Tensor]]:
    return ((name.split("."), parameter) for name, parameter in parameters.items())


def plain_transformer(ours: dict[str, Tensor], name: str) -> Iterator[tuple[str, Tensor]]:
    other = {"token": "token.weight", "up": "mlp.0", "down": "mlp.2", "gain": "weight"}
    if ".key_value." in name:
        return
    if ".query." in name:
        key_value = ours[name.replace(".query.", ".key_value.")]
        yield name.replace(".query.", ".query_key_value."), torch.cat([ours[name], key_value])
    else:
        yield ".".join(other.get(piece, piece) for piece in name.split(".")), ours[name]


@pytest.mark.parametrize("name", TORCH)
def test_plain_loop_trains_the_same_network(name):
    """From the same parameters, on the same batches: the same logits of some pairs."""
    case = in_double(CASES[name])
    ours, plainly = learner([case.replica], case.task, "cpu"), plain.TorchLoop(case, "cpu")
    parameters = {key: torch.tensor(value) for key, value in ours.snapshot(0).items()}
    plainly.model.double().load_state_dict(with_plain_names(parameters))
    a, b = torch.tensor(case.task.equations[["a", "b"]].to_numpy()[::20].T.copy())
    if torch.is_floating_point(plainly.inputs):
        plainly.inputs = plainly.inputs.double()
    train = torch.tensor(np.flatnonzero(case.task.train_mask(case.replica.split_seed)))
    plainly.batches = (torch.searchsorted(train, ours.batches.at([step])[0]) for step in (1, 2))
    for steps in (0, 2):
        ours.update(steps)
        plainly.update(steps)
        with torch.no_grad():
            inputs = plainly.model.encode(a, b)
            logits = plainly.model(inputs.double() if torch.is_floating_point(inputs) else inputs)
            assert_close(ours.module(a[None], b[None])[0], logits, rtol=1e-7, atol=1e-7)


def test_plain_numpy_gradient_is_the_engines():
    case = CASES["numpy_mlp_momentum"]
    parameters = numpy_mlp.initialise(case.replica.config.model, case.task.sizes, 0, "float64")
    a_P, b_P, answer_P = plain.columns(case)
    inputs = plain.one_hot_pairs(a_P, b_P, case.task.sizes.tokens, "float64")
    passed = numpy_mlp.forward(parameters, a_P, b_P)
    of_logits = numpy_mlp.cross_entropy_gradient(passed.logits_BV, answer_P, "float64")
    expected = numpy_mlp.backward(parameters, passed, of_logits, a_P, b_P)
    found = plain.numpy_gradients(parameters, inputs, answer_P)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-10, atol=1e-14, err_msg=name)


def test_an_epoch_of_plain_batches_has_every_equation_at_most_once():
    drawn = plain.batches(MinibatchConfig("without_replacement", 4), 19, "cpu")
    epochs = [torch.cat([next(drawn) for _ in range(4)]) for _ in range(2)]
    assert all(len(epoch.unique()) == 16 for epoch in epochs)
    assert not torch.equal(*epochs)
    full = next(plain.batches(FullBatchConfig("full"), 19, "cpu"))
    assert len(torch.arange(19)[full]) == 19


@pytest.mark.parametrize("name", TORCH)
def test_counted_operations_are_those_that_run(name):
    """torch counts matrix products as they are called, also attention's, which our count leaves out."""
    case = CASES[name]
    tolerance = 0.04 if case.replica.config.model.family == "transformer" else 0
    stack = learner([case.replica], case.task, "cpu")
    counter = FlopCounterMode(display=False)
    known, aten = counter.flop_registry, torch.ops.aten
    known[aten.baddbmm_] = known[aten.baddbmm]  # which it does not know in place
    by_onednn = torch.ops.mkldnn._linear_pointwise
    known[by_onednn] = shape_wrapper(lambda x, weight, *_, **__: 2 * prod(x) * weight[0])
    with counter:
        stack.update(1)
    assert flops.per_step(case) == pytest.approx(counter.get_total_flops(), rel=tolerance)


def test_processes_of_a_team_train_together():
    team = stacks.Team(CASES["shared_mlp_published_f30"], stacks.Way(2, 1, 2), Settings("cpu", 1, 0.01))
    with closing(team):
        assert team.rate() > 0


def test_command_prints_every_table(capsys):
    before = page.PAGE.read_text()
    engine.main(["--cases", "numpy_mlp_momentum", "--rounds", "1", "--seconds", "0.01", "--no-write"])
    printed = capsys.readouterr().out
    for title in ("Machine", "One step", "Many replicas", "Evaluations and checkpoints", "Memory"):
        assert f"## {title}\n\n| " in printed
    assert printed.count("| `numpy_mlp_momentum` |") == 3
    assert page.PAGE.read_text() == before


def test_report_replaces_the_text_between_its_markers():
    kept = page.replaced(f"before\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n", "new")
    assert kept == f"before\n\n{page.BEGIN}\n\nnew\n\n{page.END}\n\nafter\n"
    assert page.replaced(kept, "new") == kept
    assert page.replaced("before\n", "new") == f"before\n\n{page.BEGIN}\n\nnew\n\n{page.END}\n"
