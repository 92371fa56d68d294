"""The zoo holds what its manifest says, bit by bit, and its page, its lens and its models say the same."""

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_task
from safetensors.numpy import load_file

import grokking
from grokking import zoo
from grokking.config import ConfigError
from grokking.data import tasks
from grokking.models import FAMILIES
from grokking.storage import task_files
from grokking.storage.run_folder import RunFolder
from grokking.tracking import identity, registry, store
from grokking.training.fingerprint import input_hash
from grokking.training.loop import train
from grokking.zoo import manifest, served
from grokking.zoo.accuracy import Accuracy, accuracy_of, verdict
from grokking.zoo.collection import Zoo, here
from grokking.zoo.lens import REFUSED
from grokking.zoo.making import STEPS, Trained, make
from pipelines.common.models import best_models

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ENTRIES = here().manifest.entries
MAIN = {"numpy_mlp_momentum", "embedding_mlp", "wide_mlp", "transformer", "shared_mlp_f30"}
TRANSFORMERS = ("transformer", "transformer_one_layer", "muon_transformer", "adamw_transformer")
LIMIT = 80_000_000  # bytes in git


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file)
def test_every_network_is_as_good_as_the_manifest_says(entry):
    network, equations = zoo.load(entry.experiment, entry.step, entry.replica)
    assert not network.training
    found = accuracy_of(network, equations)
    assert found == (entry.train_accuracy, entry.validation_accuracy)
    assert verdict(found, dict.fromkeys("x", np.zeros(1))) == entry.verdict


def test_a_network_refuses_operands_that_are_no_tokens():
    network, _ = zoo.load("wide_mlp")
    with pytest.raises(IndexError, match=r"operand a must lie in 0\.\.96, but got 97"):
        network(torch.tensor([3, 97]), torch.tensor([0, 0]))
    with pytest.raises(IndexError, match=r"operand b must lie in 0\.\.96, but got 5000"):
        network(torch.tensor([3]), b=torch.tensor([5000]))
    assert network(b=torch.tensor([80]), a=torch.tensor([40])).argmax() == 23


def test_manifest_and_files_agree():
    folder = ROOT / manifest.FOLDER
    assert {str(file.relative_to(folder)) for file in folder.rglob("*.safetensors")} == {
        entry.file for entry in ENTRIES
    }
    for entry in ENTRIES:
        entry.require_whole(folder)
        assert (folder / entry.file).stat().st_size == entry.bytes
        assert {str(array.dtype) for array in load_file(folder / entry.file).values()} == {entry.dtype}
    assert sum(entry.bytes for entry in ENTRIES) < LIMIT


def test_there_is_as_much_as_the_page_promises():
    assert sum(entry.last for entry in ENTRIES) >= 60
    assert len({(entry.experiment, entry.replica, entry.step) for entry in ENTRIES}) == len(ENTRIES)
    steps = {name: [e.step for e in ENTRIES if e.experiment == name and e.replica == 0] for name in MAIN}
    for entry in ENTRIES:
        if entry.group == "records":
            steps[entry.experiment] = [
                e.step for e in ENTRIES if (e.experiment, e.replica) == (entry.experiment, 0)
            ]
    assert all(len(own) >= STEPS and own[0] == 0 for own in steps.values()), steps


def test_trained_networks_are_those_of_the_tables():
    """Their accuracies are those that training has measured last, and their events are its own."""
    for entry in (entry for entry in ENTRIES if entry.last):
        table = pd.read_parquet(ROOT / "results/runs" / entry.group / entry.experiment / "replicas.parquet")
        row = table.set_index("replica").loc[entry.replica]
        assert (row["inputs"], row["steps_run"], row["seed"]) == (entry.inputs, entry.step, entry.seed)
        final = row["final_train_accuracy"], row["final_validation_accuracy"]
        assert final == (entry.train_accuracy, entry.validation_accuracy), entry.file
        for event in ("memorization_step", "first_crossing_step", "generalization_step"):
            assert getattr(entry, event) == (None if pd.isna(row[event]) else row[event])


def test_the_table_has_a_row_for_each_network_with_its_hyperparameters():
    table = zoo.list()
    assert len(table) == len(ENTRIES)
    assert {"optimizer.weight_decay", "model.family", "verdict", "sha256"} <= set(table)
    wide = table[table["experiment"] == "wide_mlp"]
    assert set(wide["optimizer.weight_decay"]) == {
        grokking.load("wide_mlp").config["optimizer"]["weight_decay"]
    }
    assert grokking.zoo is zoo


def test_wrong_labels_are_those_that_were_trained_on():
    _, equations = zoo.load("corrupted_labels")
    wrong = equations["label"] != equations["c"]
    assert wrong.any()
    assert equations["train"][wrong].all()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("wide_mpl",), "`wide_mpl` is not in the zoo; did you mean wide_mlp"),
        (("zzz",), "`zzz` is not in the zoo; it holds numpy_mlp_momentum, "),
        (("wide_mlp", None, 9), "`wide_mlp` has no replica 9 in the zoo; it holds 0, 1, 2, 3, 4"),
        (("wide_mlp", 5), "`wide_mlp`, replica 0, has no network of step 5 in the zoo; it holds 0, "),
    ],
)
def test_what_is_not_there_is_told_with_what_is(arguments, told):
    with pytest.raises(ConfigError, match=r"not in the zoo|in the zoo; it holds") as error:
        zoo.load(*arguments)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


@pytest.fixture
def tiny(tmp_path, replicas) -> tuple[Zoo, Trained]:
    """A zoo of two small networks, with its snapshots and the equations of its task."""
    task, folder = make_task(), tmp_path / "results" / "zoo"
    kept = RunFolder(tmp_path / "run", list(replicas), task, tmp_path / "snapshots")
    kept.add([e for replica in replicas for e in train([replica], task, "cpu")])
    task_files.save(task, tmp_path / "splits" / "test")
    config = json.loads(json.dumps(asdict(replicas[0].config)))
    trained = Trained(
        "small", "systems", config, replicas, task, kept.close(), tmp_path / "snapshots", in_steps=True
    )
    make([trained], folder)
    return Zoo(folder, tmp_path / "splits"), trained


def test_what_is_written_is_read(tiny):
    small, trained = tiny
    for entry in small.manifest.entries:
        network, equations = small.load("small", entry.step, entry.replica)
        replica = trained.replicas[entry.replica]
        folder = trained.networks / input_hash(replica, trained.task)
        exact = load_file(folder / f"step_{entry.step}.safetensors")
        for name, parameter in network.named_parameters():
            rounded = exact[name].astype(entry.dtype).astype("float64")
            np.testing.assert_array_equal(parameter.detach().numpy(), rounded)
        assert accuracy_of(network, equations) == (entry.train_accuracy, entry.validation_accuracy)
    assert small.manifest.entries[0].step == 0
    assert [entry.replica for entry in small.manifest.entries if entry.last] == [0, 1]


def test_a_clone_without_snapshots_keeps_what_it_has(tiny, tmp_path):
    small, trained = tiny
    before = {file: file.read_bytes() for file in small.folder.rglob("*.*")}
    make([trained], small.folder)
    shutil.rmtree(trained.networks)
    make([trained], small.folder)
    assert {file: file.read_bytes() for file in small.folder.rglob("*.*")} == before
    with pytest.raises(ConfigError, match=r"no network of `small`, replica 0, .*; train it"):
        make([trained], tmp_path / "elsewhere")


class Kill:
    """Lets so many removals and renamings happen, and stops at the next."""

    def __init__(self, allowed: int) -> None:
        self.left = allowed

    def before(self, action):
        def stopping(*arguments, **options):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return action(*arguments, **options)

        return stopping


def test_a_kill_at_any_removal_or_renaming_loses_no_network(tiny, monkeypatch):
    """Networks whose snapshots are gone are nowhere but in the folder that is replaced."""
    small, trained = tiny
    shutil.rmtree(trained.networks)
    before = {file: file.read_bytes() for file in small.folder.rglob("*.*")}
    for kills in range(1000):
        kill = Kill(allowed=kills)
        with monkeypatch.context() as patch:
            for place, name in ((Path, "rename"), (os, "unlink"), (os, "rmdir")):
                patch.setattr(place, name, kill.before(getattr(place, name)))
            with suppress(KeyboardInterrupt):
                make([trained], small.folder)
        make([trained], small.folder)
        assert {file: file.read_bytes() for file in small.folder.rglob("*.*")} == before
        if kill.left >= 0:  # it came to its end
            break
    assert kills > 5


def test_values_that_were_not_trained_are_refused(tiny):
    small, trained = tiny
    other = [replace(replica, seed=replica.seed + 5) for replica in trained.replicas]
    with pytest.raises(ConfigError, match="`small` was trained with other values"):
        make([replace(trained, replicas=other)], small.folder)


def test_a_damaged_file_is_refused_by_its_name(tiny):
    small, _ = tiny
    entry = small.manifest.entries[0]
    file = small.folder / entry.file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        ConfigError, match=f"{re.escape(str(file))} is missing or damaged; restore it"
    ) as error:
        small.load("small", entry.step)
    assert "\n" not in str(error.value)
    file.unlink()
    with pytest.raises(ConfigError, match="is missing or damaged"):
        small.load("small", entry.step)


def test_a_manifest_that_is_missing_or_cut_is_refused(tiny):
    file = tiny[0].folder / manifest.NAME
    file.write_text(file.read_text()[:100])
    with pytest.raises(ConfigError, match=r"manifest.json cannot be read"):
        manifest.read(file.parent)
    file.unlink()
    with pytest.raises(ConfigError, match=r"manifest.json is missing"):
        manifest.read(file.parent)


def test_other_data_than_was_trained_on_is_refused(tiny):
    small, _ = tiny
    task_files.save(make_task(train_fraction=0.5), small.splits / "test")
    with pytest.raises(ConfigError, match="was trained on other data"):
        small.load("small")


@pytest.mark.parametrize(
    ("train_share", "validation_share", "value", "expected"),
    [
        (1.0, 0.99, 0.0, "generalized"),
        (0.99, 0.98, 0.0, "memorized only"),
        (0.98, 0.0, 0.0, "neither"),
        (1.0, 1.0, float("nan"), "diverged"),
    ],
)
def test_verdicts(train_share, validation_share, value, expected):
    assert verdict(Accuracy(train_share, validation_share), {"weight": np.array([value])}) == expected


# TransformerLens


def logits(name: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all pairs, by our network and by TransformerLens."""
    network, equations = zoo.load(name)
    network = network.to(dtype)
    a, b = (torch.tensor(equations[column].to_numpy()) for column in "ab")
    with torch.no_grad():
        return network(a, b), zoo.hooked_transformer(network)(zoo.tokens(network, a, b))[:, -1]


@pytest.mark.filterwarnings("ignore")  # of its own dependencies
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformer_lens_computes_the_same_logits(name):
    pytest.importorskip("transformer_lens")
    ours, theirs = logits(name, torch.float64)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-10)
    ours, theirs = logits(name, torch.float32)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5 * float(ours.abs().max()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "changes",
    [
        {"norm_type": "rms"},
        {"norm": "none"},
        {"activation": "relu"},
        {"attention": "bidirectional"},
        {"positions": "sinusoidal"},
        {"positions": "none"},
        {"positions": "rotary"},
        {"sequence": "a_b"},
        {"bias": False},
        {"tied_unembedding": True},
        {"output_scale": 0.5},
    ],
    ids=str,
)
def test_transformer_lens_takes_what_it_can_express(changes):
    pytest.importorskip("transformer_lens")
    network, a, b = variant(changes)
    with torch.no_grad():
        theirs = zoo.hooked_transformer(network)(zoo.tokens(network, a, b))[:, -1]
        torch.testing.assert_close(theirs, network(a, b), rtol=0, atol=1e-10)


def variant(changes):
    """The zoo's one-layer transformer with other values, as it is initialised, and all pairs."""
    entry = here().manifest.entry("transformer_one_layer", None, 0)
    config = replace(here().replica(entry).config.model, **changes)
    torch.manual_seed(0)
    network = FAMILIES["transformer"](config, tasks.Sizes(97, 97)).double()
    a, b = torch.cartesian_prod(torch.arange(97), torch.arange(97)).T
    return network, a, b


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pooling": "mean"}, "`model.pooling` mean: it reads out each position"),
        ({"norm": "post"}, "`model.norm` post"),
        ({"activation": "swiglu"}, "`model.activation` swiglu"),
    ],
)
def test_transformer_lens_refuses_what_it_cannot_express(changes, told):
    with pytest.raises(ConfigError, match=f"TransformerLens cannot express {re.escape(told)}"):
        zoo.hooked_transformer(variant(changes)[0])
    with pytest.raises(ConfigError, match="takes transformers, but got a OneHotMLP"):
        zoo.hooked_transformer(zoo.load("wide_mlp").network)


def test_the_refusals_are_on_the_page():
    for key, values, _ in REFUSED:
        assert all(f"`{key}: {value}`" in PAGE for value in values)


# The model registry


def model_of(small: Zoo, client, name: str = "grokking-system-0") -> registry.Model:
    """The last network of a zoo, with a run to belong to."""
    entry = next(entry for entry in small.manifest.entries if entry.last)
    experiment = store.experiment_id(client, identity.TRAINED)
    store.ensure_run(client, experiment, "small", {"key": "systems/small/0-0"})
    return registry.Model(
        name, "systems/small/0-0", entry.sha256, "A network.", served.__name__,
        lambda folder: served.pack(small, entry, folder),
    )  # fmt: skip


@pytest.fixture
def tracking_uri(monkeypatch):
    """MLflow's own functions find the store by the environment."""

    def use(uri):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    return use


@pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn
def test_the_best_network_answers_from_the_registry(tiny, client, tracking_uri):
    from mlflow import pyfunc

    small, _ = tiny
    model = model_of(small, client)
    assert registry.publish(client, model)
    tracking_uri(store.tracking_uri())
    loaded = pyfunc.load_model("models:/grokking-system-0@best")
    network, equations = small.load("small")
    with torch.no_grad():
        expected = network(*(torch.tensor(equations[name].to_numpy()) for name in "ab")).argmax(-1)
    assert loaded.predict(equations[["a", "b"]])["c"].tolist() == expected.tolist()
    with pytest.raises(ConfigError, match=r"\(3, 99\) is no equation of this network's task; a in 0..10"):
        loaded.predict(pd.DataFrame({"a": [3], "b": [99]}))
    artifacts = Path(client.get_model_version_by_alias(model.name, "best").source.removeprefix("file://"))
    files = {file.suffix for file in artifacts.rglob("*.*")}
    assert ".safetensors" in files
    assert not files & {".pkl", ".pickle", ".pt", ".bin"}


@pytest.mark.filterwarnings("ignore")
def test_a_model_is_registered_once_and_again_only_where_it_is_another(tiny, client):
    model = model_of(tiny[0], client)
    assert registry.publish(client, model)
    assert not registry.publish(client, model)
    client.delete_registered_model_alias(model.name, "best")  # as after a crash half-way
    assert registry.publish(client, model)
    assert len(client.search_model_versions(f"name = '{model.name}'")) == 1
    assert registry.publish(client, replace(model, description="Another."))
    best = client.get_model_version_by_alias(model.name, "best")
    assert (str(best.version), best.description) == ("2", "Another.")
    with pytest.raises(ConfigError, match="has no run none to belong to"):
        registry.publish(client, replace(model, run_key="none"))


@pytest.mark.filterwarnings("ignore")
def test_models_move_with_the_checkout(tiny, client, tmp_path, monkeypatch, tracking_uri):
    from mlflow import pyfunc

    registry.publish(client, model_of(tiny[0], client))
    other = tmp_path / "other"
    other.mkdir()
    shutil.move(tmp_path / "mlruns", other / "mlruns")
    monkeypatch.setenv("DVC_ROOT", str(other))
    store.connect()
    tracking_uri(store.tracking_uri())
    pyfunc.load_model("models:/grokking-system-0@best")


def test_the_best_of_each_system_are_its_own_recipe():
    chosen = {entry.system: entry for entry in served.best(here().manifest)}
    assert {system: entry.experiment for system, entry in chosen.items()} == dict(
        enumerate(("numpy_mlp_momentum", "embedding_mlp", "wide_mlp", "transformer", "shared_mlp_f30"))
    )
    for entry in chosen.values():
        own = [e for e in ENTRIES if e.experiment == entry.experiment and e.last]
        assert entry.validation_accuracy == max(e.validation_accuracy for e in own)


def test_publish_registers_the_best_of_each_system(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    models = list(best_models())
    assert [model.name for model in models] == [f"grokking-system-{number}" for number in range(5)]
    for model in models:
        folder = ROOT / "results/runs" / Path(model.run_key).parent
        facts = json.loads((folder / "run.json").read_text())
        assert re.fullmatch(f"{facts['fingerprint']}-[0-4]", Path(model.run_key).name)
    monkeypatch.chdir(tmp_path)
    assert list(best_models()) == []


# The page


def page_rows() -> list[str]:
    """A row per experiment of the table on the page."""
    table, rows = zoo.list(), []
    for name, own in table.groupby("experiment", sort=False):
        last, first = own[own["last"]], own[own["replica"] == 0]
        verdicts = last["verdict"].value_counts()
        counts = ", ".join(f"{count} {word}" for word, count in verdicts.items())
        shown = ", ".join(map(str, first["step"])) if len(first) > 1 else "—"
        rows.append(f"| `{name}` | {own['group'].iloc[0]} | {own['task'].iloc[0]} | {counts} | {shown} |")
    return rows


def test_every_key_of_the_manifest_is_described():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").partition("`results/zoo/manifest.json`")[2]
    cells = [row.split("|")[1] for row in text.partition("\n## ")[0].splitlines() if row.startswith("| `")]
    described = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert described == [field.name for field in fields(manifest.Entry)]


def test_numbers_on_the_page_are_those_of_the_manifest():
    long = sum(entry.dtype == "float32" for entry in ENTRIES)
    assert f"{sum(entry.last for entry in ENTRIES)} after training" in PAGE
    assert f"Of {len(ENTRIES)} files {long} are in float32" in PAGE
    assert f"{len(ENTRIES)} trained networks" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_table_on_the_page_is_that_of_the_manifest():
    (text,) = re.findall(r"<!-- networks -->\n\|.*\n\|.*\n((?:\|.*\n)+)<!-- end", PAGE)
    assert text.splitlines() == page_rows(), "\n".join(page_rows())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_of_the_page(number, client, tmp_path, monkeypatch):
    example = EXAMPLES[number]
    assert len(example.splitlines()) <= 5
    if "hooked_transformer" in example:
        pytest.importorskip("transformer_lens")
    if "mlflow" in example:
        zoo_here = here()
        (entry,) = [entry for entry in served.best(zoo_here.manifest) if entry.system == 1]
        model = model_of(zoo_here, client, "grokking-system-1")
        registry.publish(client, replace(model, pack=lambda folder: served.pack(zoo_here, entry, folder)))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri())
        monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(example, names)
    if "answer" in names:
        assert names["answer"] == 23


def test_a_run_of_a_fresh_clone_answers_by_the_networks_of_the_zoo(tmp_path):
    for name, step, seed in (("wide_mlp", 91, 0), ("quadratic_mlp", None, 3)):
        run = replace(grokking.load(name), networks=tmp_path)  # as where it was not trained
        replica = int(run.replicas().query("seed == @seed")["replica"].iloc[0])
        network, equations = grokking.zoo.load(name, step, replica)
        a, b = (equations[operand].to_numpy()[:50] for operand in ("a", "b"))
        expected = network(torch.tensor(a), torch.tensor(b)).argmax(-1).numpy()
        assert np.array_equal(run.predict(a, b, step, seed).answer, expected)
    with pytest.raises(ConfigError, match="keeps no network of step 3; kept: 0, 4, "):
        replace(grokking.load("wide_mlp"), networks=tmp_path).network(3)
