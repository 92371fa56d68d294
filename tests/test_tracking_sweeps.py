"""A sweep in MLflow: one run with the counts of its phases, its table, page and figure."""

import pytest
from test_sweeps import SWEEP

from grokking.sweeps.networks import expand
from grokking.sweeps.sweep_folder import SweepFolder
from grokking.sweeps.training import stacks, train_stack
from grokking.tracking import identity, single_runs, store
from grokking.tracking.descriptions import NOTE
from grokking.tracking.sweeps import FORM, Swept, publish

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own dependencies warn


@pytest.fixture
def swept(tmp_path):
    networks = expand(SWEEP, "sweeps.s")
    kept = SweepFolder(tmp_path / "s", tmp_path / "s.jsonl", networks)
    for stack in stacks(networks, 16):
        for network, row in train_stack(stack, "cpu"):
            kept.add(row, network)
    kept.close()
    page = tmp_path / "s.md"
    page.write_text("# Sweep\n")
    return Swept("s", tmp_path / "s", page)


def runs(client):
    return client.search_runs([store.experiment_id(client, identity.SWEPT)])


def test_a_sweep_is_one_run_with_its_phases_and_files(client, swept):
    assert publish(client, swept)
    (run,) = runs(client)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "sweep s"
    found = run.data.metrics
    assert found["result/networks"] == 8
    assert sum(value for name, value in found.items() if name.startswith("result/cells_of_")) == 4
    assert run.data.params["task.split.train_fraction"] == "0.4, 0.8"
    assert run.data.params["optimizer.weight_decay"] == "1.0"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        "networks.parquet", "run.json", "s.md",
    }  # fmt: skip
    assert "8 one hot MLP networks on add mod 7, 2 of each cell, until step 30." in run.data.tags[NOTE]


def test_publishing_a_sweep_twice_adds_nothing_and_a_new_page_is_published(client, swept):
    assert publish(client, swept)
    assert not publish(client, swept)
    swept.page.write_text("# Another\n")
    assert publish(client, swept)
    (run,) = runs(client)
    assert len(runs(client)) == 1
    assert run.data.tags["published"] == single_runs.content(FORM, swept.files)
