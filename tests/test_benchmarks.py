"""The plain loops train the engine's own networks; counted operations are those that run."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode, shape_wrapper

from benchmarks import (
    earlier,
    engine,
    flops,
    jax_environment,
    machine,
    ours,
    page,
    peers,
    plain,
    stacks,
    steps,
    twins,
    worker,
)
from benchmarks.cases import CASES as NAMES
from benchmarks.cases import Case, prepare
from benchmarks.ours import make_stack
from benchmarks.timing import Settings
from grokking.data.batches import FullBatchConfig, WithoutReplacementConfig

CASES = {name: prepare(name) for name in NAMES}
TORCH = {name: case for name, case in CASES.items() if not case.is_numpy}


def in_double(case: Case) -> Case:
    config = replace(case.replica.config, precision="float64", loss_precision="float64")
    return replace(case, replica=replace(case.replica, config=config))


@pytest.mark.parametrize("name", TORCH)
def test_plain_loop_trains_the_same_network(name):
    """From the same parameters, on the same batches: the same logits of some pairs."""
    case = in_double(CASES[name])
    stack, loop = make_stack([case.replica], case.task, "cpu"), plain.TorchLoop(case, "cpu")
    loop.model.double().load_state_dict(ours.plain_parameters(stack.snapshot(0)))
    loop.inputs, loop.batches = ours.in_double(loop.inputs), iter(ours.batches(case, stack, 2))
    a, b = torch.tensor(case.task.equations[["a", "b"]].to_numpy()[::20].T.copy())
    for count in (0, 2):
        stack.update(count)
        loop.update(count)
        with torch.no_grad():
            logits = loop.model(ours.in_double(loop.model.encode(a, b)))
            assert_close(stack.model(a[None], b[None])[0], logits, rtol=1e-7, atol=1e-7)


def test_plain_numpy_loop_trains_the_same_network():
    case = in_double(CASES["numpy_mlp_momentum"])
    stack, loop = make_stack([case.replica], case.task, "cpu"), plain.NumpyLoop(case)
    loop.parameters = {name: array.copy() for name, array in stack.snapshot(0).items()}
    loop.batches = iter(ours.batches(case, stack, 3).numpy())
    stack.update(3)
    loop.update(3)
    for name, expected in stack.snapshot(0).items():
        np.testing.assert_allclose(loop.parameters[name], expected, rtol=1e-8, atol=1e-12, err_msg=name)


def test_plain_numpy_gradient_is_that_of_autograd():
    loop = plain.NumpyLoop(in_double(CASES["numpy_mlp_momentum"]))
    params = {name: torch.tensor(array, requires_grad=True) for name, array in loop.parameters.items()}
    x, layers = torch.tensor(loop.inputs), len(params) // 2
    for layer in range(layers):
        x = (x.relu() if layer else x) @ params[f"layer_{layer}.weight"] + params[f"layer_{layer}.bias"]
    torch.nn.functional.cross_entropy(x, torch.tensor(loop.answer_P)).backward()
    found = plain.numpy_gradients(loop.parameters, loop.inputs, loop.answer_P)
    assert found.keys() == params.keys()
    for name, parameter in params.items():
        np.testing.assert_allclose(found[name], parameter.grad, rtol=1e-10, atol=1e-14, err_msg=name)


def test_initial_numpy_weights_are_he_normal():
    parameters = plain.he_normal(np.random.default_rng(0), [200, 300, 50], "float64")
    for layer, inputs in enumerate((200, 300)):
        assert parameters[f"layer_{layer}.weight"].std() == pytest.approx((2 / inputs) ** 0.5, rel=0.03)
        assert not parameters[f"layer_{layer}.bias"].any()


def test_an_epoch_of_plain_batches_has_every_equation_at_most_once():
    drawn = plain.batches(WithoutReplacementConfig("without_replacement", 4, drop_last=True), 19, "cpu")
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
    stack = make_stack([case.replica], case.task, "cpu")
    counter = FlopCounterMode(display=False)
    known, aten = counter.flop_registry, torch.ops.aten
    known[aten.baddbmm_] = known[aten.baddbmm]  # which it does not know in place
    by_onednn = torch.ops.mkldnn._linear_pointwise
    known[by_onednn] = shape_wrapper(lambda x, weight, *_, **__: 2 * prod(x) * weight[0])
    with counter:
        stack.update(1)
    assert flops.per_step(case) == pytest.approx(counter.get_total_flops(), rel=tolerance)


@pytest.mark.parametrize(
    ("name", "op"), [(n, op) for n in NAMES for op in twins.OPS if twins.has(CASES[n], op)]
)
def test_one_op_is_made_plain_and_fast_again(name, op, monkeypatch):
    """The plain twin trains as the fast op does, and the fast op is not called meanwhile."""
    fast = {
        "dense layers": ("grokking.ops.mlp", "by_replica"),
        "loss": ("grokking.ops.losses", "loss"),
        "Adam": ("grokking.ops.numba_kernels", "adam_step"),
        "shared rows": ("grokking.models.shared_prefix", "last_position"),
    }
    calls = []
    module, function = import_module(fast[op][0]), fast[op][1]
    original = getattr(module, function)
    monkeypatch.setattr(module, function, lambda *arguments: calls.append(op) or original(*arguments))
    case = in_double(CASES[name])
    stacks_of_both = [make_stack([case.replica], case.task, "cpu") for _ in range(2)]
    with twins.made_plain(op):
        stacks_of_both[0].update(1)
    assert not calls
    stacks_of_both[1].update(1)
    assert calls
    plain_parameters, fast_parameters = (stack.params.data for stack in stacks_of_both)
    assert_close(plain_parameters, fast_parameters, rtol=1e-7, atol=1e-9)


def test_processes_of_a_team_train_together():
    layout = stacks.Layout(processes=2, threads=1, replicas=2)
    team = stacks.Team(CASES["shared_mlp_published_f30"], layout, Settings("cpu", 1, 0.01))
    with closing(team):
        assert team.rate() > 0


def test_a_peer_trains_a_block_whenever_asked():
    settings = Settings("cpu", 1, 0.01)
    with closing(peers.start("ours", CASES["shared_mlp_published_f30"], settings)) as peer:
        assert 0 < peer.seconds_per_step(0.01) < 1
        assert 0 < peer.seconds_per_step(0.01) < 1
    assert peer.process.returncode == 0


def test_a_peer_that_fails_gives_its_error():
    broken = [sys.executable, "-c", "raise ValueError('no compiler')"]
    with pytest.raises(peers.PeerError, match=r"^ValueError: no compiler$"):
        peers.Peer(broken, peers.ROOT)


def test_a_missing_peer_is_a_dash_with_its_reason(monkeypatch):
    started = peers.start

    def start(name: str, *arguments):
        if name == "JAX":
            raise peers.PeerError("no network")
        return started(name, *arguments)

    monkeypatch.setattr(steps, "start", start)
    section = steps.measure([CASES["shared_mlp_published_f30"]], Settings("cpu", 1, 0.01, ("plain", "JAX")))
    row = section.table.iloc[0]
    assert (row["JAX, ms"], row["JAX / ours"]) == ("—", "—")
    assert float(row["plain / ours"]) > 0
    assert "JAX was not measured: no network (`shared_mlp_published_f30`)" in section.note


def test_everything_that_takes_turns_is_on_one_core():
    allowed = os.sched_getaffinity(0)
    with peers.one_core("cpu"):
        assert os.sched_getaffinity(0) == {max(allowed)}
    assert os.sched_getaffinity(0) == allowed


def test_jax_gets_the_plain_models_parameters():
    """Dense weights as (inputs, outputs)."""
    case = CASES["embedding_mlp"]
    model = plain.TorchLoop(case, "cpu").model
    with tempfile.TemporaryDirectory() as folder:
        jax_environment.export(case, model, Path(folder))
        arrays = np.load(Path(folder) / "arrays.npz")
        problem = json.loads((Path(folder) / "problem.json").read_text())
    assert len(arrays["a"]) == case.train_equations
    assert arrays["layers.0.weight"].shape == (128, 256)
    assert arrays["embedding_a.weight"].shape == (97, 128)
    assert problem["sampling"] == "full"
    assert problem["optimizer"]["weight_decay"] == 1.0


def test_checkout_of_a_commit_is_removed_even_after_an_error():
    def fail() -> None:
        with earlier.checkout("HEAD") as root:
            roots.append(root)
            assert (root / "benchmarks" / "worker.py").read_bytes() == Path(worker.__file__).read_bytes()
            raise ZeroDivisionError

    roots: list[Path] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert not roots[0].exists()
    assert str(roots[0]) not in subprocess.check_output(["git", "worktree", "list"], text=True)


def test_unknown_commit_is_an_error_of_one_line():
    with pytest.raises(SystemExit, match="no-such-commit") as error:
        engine.main(["--against", "no-such-commit", "--no-write"])
    assert "\n" not in str(error.value)


def test_processor_is_told_by_family_and_model():
    named = machine.Processor("AMD EPYC", "AuthenticAMD", "25", "17", "1", ("sse", "avx512f", "avx512_bf16"))
    assert str(named) == "AMD EPYC family 25 model 17"
    assert named.avx512 == "avx512f avx512_bf16"
    assert (str(machine.Processor("arm")), machine.Processor("arm").avx512) == ("arm", "no")


def test_command_prints_every_table(capsys):
    before = page.PERFORMANCE.read_text()
    engine.main(["--cases", "numpy_mlp_momentum", "--rounds", "1", "--seconds", "0.01", "--no-write"])
    printed = capsys.readouterr().out
    titles = "Machine", "One step", "What each fast op gains", "Many replicas", "Evaluations and checkpoints"
    for title in (*titles, "Memory"):
        assert f"## {title}\n\n| " in printed
    assert printed.count("| `numpy_mlp_momentum` |") == 4
    assert page.PERFORMANCE.read_text() == before


def test_report_replaces_that_of_the_same_program_and_processor():
    text = page.replaced("before\n", "old", "engine", "A")
    text = page.replaced(text, "another", "engine", "B")
    text = page.replaced(text, "searches", "search", "A")
    assert page.replaced(text, "old", "engine", "A") == text
    changed = page.replaced(text, "new", "engine", "A")
    assert changed == text.replace("old", "new")
    kept = [changed.index(part) for part in ("before", "new", "another", "searches")]
    assert kept == sorted(kept)
    assert changed.count(page.END) == 3
