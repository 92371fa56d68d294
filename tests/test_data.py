"""Operation tables proven by algebra, splits as partitions, files that come back as they went."""

import numpy as np
import pytest
from conftest import make_task
from reference import operation_table

from grokking.config import ConfigError
from grokking.data import tasks
from grokking.data.operations import OPERATIONS, require_prime
from grokking.data.splits import SPLITS, mirrored

PRIMES = {2, 3, 5, 7, 11, 13, 97, 113, 211}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("modulus", [2, 7, 11])
def test_table_equals_definition(name, modulus):
    table = OPERATIONS[name].equations(modulus)
    rows = list(table[["a", "b", "c"]].itertuples(index=False, name=None))
    assert len(set(rows)) == len(rows)
    assert set(rows) == operation_table(name, modulus)
    assert rows == sorted(rows)


def test_division_undoes_multiplication():
    table = OPERATIONS["divide"].equations(97)
    assert len(table) == 97 * 96
    assert (table["c"] * table["b"] % 97 == table["a"]).all()


def test_primality_agrees_with_a_list():
    for modulus in range(2, 214):
        is_prime = all(modulus % factor for factor in range(2, modulus))
        if is_prime:
            require_prime(modulus)
        else:
            with pytest.raises(ValueError, match=f"needs a prime modulus, but got {modulus} = "):
                require_prime(modulus)
    assert all(require_prime(p) is None for p in PRIMES)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_split_is_a_partition_of_the_asked_size(split, operation):
    equations = OPERATIONS[operation].equations(13)
    mask = SPLITS[split](equations, 0.3, 5)
    assert mask.shape == (len(equations),)
    assert mask.sum() == round(0.3 * len(equations))
    assert (mask == SPLITS[split](equations, 0.3, 5)).all()
    assert (mask != SPLITS[split](equations, 0.3, 6)).any()


def test_random_split_is_uniform():
    """Over many seeds every equation is trained on equally often (5 standard deviations)."""
    equations = OPERATIONS["add"].equations(7)
    share = np.mean([SPLITS["random"](equations, 0.3, seed) for seed in range(2000)], axis=0)
    expected = round(0.3 * 49) / 49
    assert abs(share - expected).max() < 5 * (expected * (1 - expected) / 2000) ** 0.5


def test_mirrored_pairs_by_definition():
    task = make_task(modulus=7)
    train = task.train_mask(0)
    pairs = list(task.equations[["a", "b"]].itertuples(index=False, name=None))
    known = {pair for pair, is_train in zip(pairs, train, strict=True) if is_train}
    expected = [not is_train and (b, a) in known for (a, b), is_train in zip(pairs, train, strict=True)]
    assert (mirrored(task.equations, train) == expected).all()


def test_shuffled_labels_keep_the_label_counts():
    exact, shuffled = make_task(), make_task(labels="shuffled")
    assert sorted(shuffled.equations["c"]) == sorted(exact.equations["c"])
    assert (shuffled.equations["c"] != exact.equations["c"]).mean() > 0.8


def test_saved_task_reads_back(tmp_path):
    task = make_task("divide")
    tasks.save(task, tmp_path / "t")
    again = tasks.read(tmp_path / "t")
    assert again.equations.equals(task.equations)
    assert again.splits.equals(task.splits)
    assert again.sizes == tasks.Sizes(tokens=11, classes=11)


def test_unknown_split_seed_names_the_known_ones(tiny_task):
    with pytest.raises(ConfigError, match="names 9, but the task is split with seeds 0, 1, 2"):
        tasks.require_split(tiny_task, 9, "e.replicas.split_seeds")
