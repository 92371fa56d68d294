"""The explorer: its arrays are the networks', its page is whole, and its own training is the engine's."""

import base64
import json
import re
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from py_mini_racer import MiniRacer
from test_diagnose import ORDER, context_of, trained

from grokking.config import load
from grokking.data import tasks
from grokking.diagnostics import fourier, snapshots
from grokking.diagnostics.internals import rebuild
from grokking.diagnostics.measured_network import MeasuredNetwork
from grokking.engine.stack import ReplicaStack
from grokking.experiment import ExperimentConfig, Replica
from grokking.explorer import frames, page
from grokking.explorer.live_recipe import LiveRecipe
from grokking.storage import runs, task_files
from grokking.storage.run_folder import RunFolder
from grokking.training.fingerprint import input_hash

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "reports" / "explore.html"
PARAMETERS = {"first": "first.weight", "readout": "layers.0.weight"}  # the page's names and the engine's
KINDS = ("one_hot_mlp", "embedding_mlp", "transformer", "numpy_mlp", "recurrent")


def kept_of(family: str, folder: Path, **changes) -> snapshots.ReplicaSnapshots:
    replica, task, evaluations = trained(family, **changes)
    RunFolder(folder / "run", [replica], task, folder / "snapshots").add(evaluations)
    return snapshots.of_folder(folder / "snapshots", [replica], task, ORDER)[0]


@pytest.mark.parametrize("family", KINDS)
def test_frames_hold_what_the_network_answers(family, tmp_path):
    kept = kept_of(family, tmp_path)
    shown = frames.of_replica(kept)
    assert shown.steps == sorted(kept.files)
    for index in (0, len(shown.steps) - 1):
        arrays = kept.arrays(shown.steps[index])
        model = rebuild(kept.replica, kept.task, arrays.parameters)
        a, b = torch.tensor(kept.task.equations[["a", "b"]].to_numpy()).T.contiguous()
        with torch.no_grad():
            share, answer = model(a, b).double().softmax(-1).max(-1)
        assert np.array_equal(shown.arrays["answers"][index], answer.numpy())
        assert (
            np.abs(shown.arrays["certainty"][index] / frames.CERTAINTY_LEVELS - share.numpy()).max() <= 1 / 29
        )


def test_logits_by_frequency_sum_to_the_share_of_the_sum(tmp_path):
    kept = kept_of("one_hot_mlp", tmp_path)
    shown = frames.of_replica(kept)
    net = MeasuredNetwork(kept.arrays(shown.steps[-1]), context_of(kept.replica, kept.task))
    found = shown.arrays["logit_power"][-1].sum() / 65535
    assert found == pytest.approx(fourier.sum_energy(net.logits_nnV), abs=len(net.logits_nnV) / 65535)


def test_a_circle_is_shown_as_a_circle():
    angle = 2 * np.pi * 3 * np.arange(11) / 11
    spanning = np.random.default_rng(0).normal(size=(2, 7))
    shown = (
        np.stack([np.cos(angle), np.sin(angle)], axis=1)
        @ spanning
        @ frames._plane(np.stack([np.cos(angle), np.sin(angle)], axis=1) @ spanning, 3)
    )
    assert np.allclose(shown, np.stack([np.cos(angle), np.sin(angle)], axis=1))


def test_a_network_without_circles_shows_its_answers_alone(tmp_path):
    shown = frames.of_replica(kept_of("recurrent", tmp_path))
    assert set(shown.arrays) == {"answers", "certainty"}
    assert shown.frequencies == []


def unpacked(packed: dict) -> np.ndarray:
    content = zlib.decompress(base64.b64decode(packed["data"]))
    return np.frombuffer(content, packed["type"]).reshape(packed["shape"])


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16"])
def test_arrays_survive_packing(kind):
    array = np.arange(60).reshape(3, 4, 5).astype(kind)
    assert np.array_equal(unpacked(page.packed(array)), array)


def script(name: str) -> object:
    text = re.search(
        rf'<script type="application/json" id="{name}">(.*?)</script>', PAGE.read_text(), re.DOTALL
    )
    return json.loads(text[1])


def test_the_committed_page_is_small_and_needs_no_network():
    assert PAGE.stat().st_size < 5e6
    text = re.sub(r'<script type="application/json".*?</script>', "", PAGE.read_text(), flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"'](https?:)?//|@import|\bfetch\(|XMLHttpRequest", text)


def test_the_committed_page_shows_the_committed_results():
    for experiment in script("experiments"):
        run = runs.read(ROOT / "results/runs/systems" / experiment["name"])
        right = unpacked(experiment["pairs"]).ravel()
        position = unpacked(experiment["position"]).ravel()
        for number, replica in enumerate(experiment["replicas"]):
            history = run.history.query("replica == @number").set_index("step")
            train = unpacked(replica["trained"]).astype(bool)
            answers = unpacked(replica["arrays"]["answers"])
            is_right, pairs = np.empty(len(train), bool), position != page.NO_PAIR
            is_right[position[pairs]] = answers[-1][position[pairs]] == right[pairs]
            found = history.loc[replica["steps"][-1], ["train_accuracy", "validation_accuracy"]]
            assert found.tolist() == pytest.approx(
                [is_right[train].mean(), is_right[~train].mean()], abs=1e-6
            )
            assert replica["generalized"] == run.replicas["generalization_step"][number]


def test_a_script_cannot_end_its_element():
    assert "</" not in page._script({"text": "</script>"})


# The network that the page trains


@pytest.fixture(scope="module")
def winner():
    """The recipe of the page as the engine has it."""
    replicas = runs.read(ROOT / "results/confirm/quick/winner").replicas
    task = task_files.read(ROOT / "results/splits" / replicas["task"].iloc[0])
    return replicas, task


@pytest.fixture
def browser():
    """V8 with the network of the page's worker."""
    engine = MiniRacer()
    engine.eval((page.PAGE / "live_network.js").read_text() + "; undefined")
    products = list((page.PAGE / page.PRODUCTS).read_bytes())
    engine.eval(f"const products = new WebAssembly.Module(new Uint8Array({products})); undefined")
    return engine


def replica_of(row: pd.Series, recipe: LiveRecipe) -> Replica:
    rates = ("learning_rate", "weight_decay", "beta1", "beta2", "epsilon")
    model = {
        "family": "one_hot_mlp", "hidden_widths": [recipe.width], "activation": "square", "alpha": 0.0,
        "bias": False, "initialisation": "standard_normal", "init_scale": recipe.init_scale,
        "output_scale": 1.0,
    }  # fmt: skip
    config = {
        "task": row["task"], "system": "none", "role": "variant", "model": model,
        "loss": "mean_squared_error", "label_noise": 0.0, "precision": "float32",
        "matmul_precision": "full", "loss_precision": "float32", "gradient_filter": {"name": "none"},
        "gradient_projection": "none", "weight_clamp": {"name": "none"}, "frozen": "nothing",
        "optimizer": {"name": "adamw", **{rate: getattr(recipe, rate) for rate in rates}},
        "schedule": {"name": "constant", "warmup_steps": 0}, "batch": {"sampling": "full"}, "budget": 150,
    }  # fmt: skip
    return Replica(0, int(row["seed"]), int(row["split_seed"]), load(ExperimentConfig, config, "e"))


def found(browser: Any, expression: str) -> Any:
    """The value of an expression of the page, by way of JSON."""
    return json.loads(browser.eval(f"JSON.stringify({expression})"))


def start(browser: Any, recipe: LiveRecipe, stack: ReplicaStack, mask: np.ndarray) -> None:
    """The page's network with the engine's initial weights and training pairs."""
    begun = stack.snapshot(0)
    weights = {name: begun[key].ravel().tolist() for name, key in PARAMETERS.items()}
    browser.eval(f"""
      const lists = {json.dumps(weights)}, trained = {mask.astype(int).tolist()}, weights = {{}};
      for (const name in lists) weights[name] = new Float32Array(lists[name]);
      const network = new LiveNetwork(
        {json.dumps(asdict(recipe))}, products, weights, new Uint8Array(trained));
      undefined""")


def test_ten_steps_in_the_page_are_the_engines(winner, browser):
    require_equal_steps(*winner, browser)


def require_equal_steps(replicas: pd.DataFrame, task: tasks.Task, browser: Any) -> None:
    """Ten steps of the page's network, in a browser that evaluates JavaScript, beside ten of the engine's."""
    recipe, row = LiveRecipe.of(replicas, task), replicas.iloc[0]
    replica = replica_of(row, recipe)
    assert input_hash(replica, task) == row["inputs"]  # just what the search has confirmed
    stack, mask = ReplicaStack([replica], task, "cpu"), task.train_mask(replica.split_seed)
    start(browser, recipe, stack, mask)
    for _ in range(10):
        stack.update(1)
        browser.eval("network.update(); undefined")
        ours = stack.snapshot(0)
        for name, key in PARAMETERS.items():
            theirs = found(browser, f"Array.from(network.{name}.values)")
            assert np.abs(ours[key].ravel() - theirs).max() < 1e-4
    measured = stack.measure([0], np.arange(len(task.equations))[None])
    shown = found(browser, "network.measure()")
    for part, of in (("train", mask), ("validation", ~mask)):
        assert shown[part]["loss"] == pytest.approx(measured.loss_RE[0].numpy()[of].mean(), rel=1e-4)
        assert shown[part]["accuracy"] == pytest.approx(measured.correct_RE[0].numpy()[of].mean(), abs=3e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_generalizes_in_the_page(winner, browser, seed):
    recipe = LiveRecipe.of(*winner)
    step = browser.eval(f"""(() => {{
      const recipe = {json.dumps(asdict(recipe))}, {{ weights, trained }} = begin(recipe, {seed});
      const network = new LiveNetwork(recipe, products, weights, trained);
      for (let step = 1; step <= 60; step++) {{
        network.update();
        if (network.measure().validation.accuracy >= 0.99) return step;
      }}
    }})()""")
    assert step is not None
    assert 20 <= step <= 40


def test_training_pairs_are_a_fair_choice(winner, browser):
    recipe = LiveRecipe.of(*winner)
    shares = found(
        browser,
        f"""[0, 1, 2, 3].map(seed => {{
      const {{ trained, weights }} = begin({json.dumps(asdict(recipe))}, seed);
      const count = pairs => pairs.reduce((n, t) => n + t, 0), first = weights.first;
      const variance = first.reduce((sum, w) => sum + w * w, 0) / first.length;
      return [count(trained), count(trained.slice(0, trained.length / 2)), Math.sqrt(variance)];
    }})""",
    )
    pairs = recipe.tokens**2
    for chosen, in_first_half, spread in shares:
        assert abs(chosen - recipe.train_fraction * pairs) <= 0.5
        assert abs(in_first_half - chosen / 2) < 4 * (pairs / 16) ** 0.5
        assert spread == pytest.approx(recipe.init_scale, rel=0.03)
    assert len({tuple(share) for share in shares}) == 4


@pytest.mark.parametrize(
    ("key", "value"),
    [("model.activation", "relu"), ("loss", "cross_entropy"), ("model.hidden_widths", "128 128")],
)
def test_a_recipe_that_the_page_cannot_train_is_not_offered(winner, key, value):
    replicas, task = winner
    assert LiveRecipe.of(replicas, task) is not None
    assert LiveRecipe.of(replicas.assign(**{key: value}), task) is None
