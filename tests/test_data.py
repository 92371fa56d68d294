"""Tables proven by algebra, splits by what defines them, ranks by slow elimination, files that come back."""

# E equations, G group elements

import itertools
import typing

import numpy as np
import pandas as pd
import pytest
from conftest import make_task, operation_mapping
from reference import additive_rank, obeys_quadrangle_criterion, operation_table, permutation_table

from grokking.config import ConfigError, load
from grokking.data import tasks
from grokking.data.division import DIVISIONS
from grokking.data.labels import LABELS, LabelsConfig
from grokking.data.latin_square import Walk, is_group_table, random_square
from grokking.data.modular import RULES
from grokking.data.operations import OPERATIONS, OperationConfig
from grokking.data.permutations import PRODUCTS
from grokking.data.primes import prime_factors, require_prime
from grokking.data.seeds import BATCHES, EVALUATION_SAMPLE, INITIALISATION, LABEL_NOISE, derived_seed
from grokking.data.splits import SPLITS, SplitConfig
from grokking.data.table import Additive, Table
from grokking.data.tasks import Task
from grokking.identifiability import System, deficits, solutions, warning
from grokking.storage import task_files

PRIMES = [2, 3, 5, 7, 11, 13, 97, 113, 211]
FIXED = {"triangle", "two_differences"}


def make_table(name: str, size: int = 7) -> Table:
    return from_mapping(operation_mapping(name, size))


def from_mapping(mapping: dict) -> Table:
    config = load(OperationConfig, mapping, "operation")
    return OPERATIONS[config.name](config)


def train_mask(equations: pd.DataFrame, split: str, seed: int = 0, train_fraction: float = 0.4) -> np.ndarray:
    mapping = {"name": split} if split in FIXED else {"name": split, "train_fraction": train_fraction}
    config = load(SplitConfig, mapping, "split")
    return SPLITS[split](equations, config, seed)


def square(name: str, degree: int) -> np.ndarray:
    """A product of S_n as an array (G, G)."""
    table = from_mapping({"name": name, "degree": degree})
    size = round(len(table.equations) ** 0.5)
    return table.equations["c"].to_numpy().reshape(size, size)


@pytest.mark.parametrize(
    ("union", "choices"), [(OperationConfig, OPERATIONS), (LabelsConfig, LABELS), (SplitConfig, SPLITS)]
)
def test_what_can_be_configured_is_what_can_be_chosen(union, choices):
    members = typing.get_args(typing.get_args(union)[0])
    named = [name for member in members for name in typing.get_args(typing.get_type_hints(member)["name"])]
    assert sorted(named) == sorted(choices)


@pytest.mark.parametrize("name", OPERATIONS)
def test_table_is_in_order_and_has_one_answer_for_a_pair(name):
    table = make_table(name)
    pairs = list(table.equations[["a", "b"]].itertuples(index=False, name=None))
    assert pairs == sorted(set(pairs))
    assert list(table.equations) == ["a", "b", "c"]
    assert table.equations["c"].max() <= table.equations[["a", "b"]].to_numpy().max()
    assert table.formula.startswith("a")


@pytest.mark.parametrize(
    ("name", "modulus"),
    [*itertools.product([*RULES, *DIVISIONS], [2, 7, 11]), *itertools.product(RULES, [12])],
)
def test_modular_table_equals_definition(name, modulus):
    assert rows_of(make_table(name, modulus)) == operation_table(name, modulus)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("degree", [2, 3, 4])
def test_permutation_table_equals_definition(name, degree):
    table = from_mapping({"name": name, "degree": degree})
    assert rows_of(table) == permutation_table(name, degree)


def rows_of(table: Table) -> set[tuple[int, int, int]]:
    rows = list(table.equations.itertuples(index=False, name=None))
    assert len(set(rows)) == len(rows)
    return set(rows)


@pytest.mark.parametrize("p", PRIMES)
def test_division_undoes_multiplication(p):
    table = make_table("divide", p).equations
    assert len(table) == p * (p - 1)
    assert (table["c"] * table["b"] % p == table["a"]).all()


@pytest.mark.parametrize("p", PRIMES)
def test_odd_divisors_divide_and_even_ones_are_subtracted(p):
    table = make_table("divide_or_subtract", p).equations
    odd = table["b"] % 2 == 1
    assert len(table) == p * p
    assert (table["c"] * table["b"] % p == table["a"])[odd].all()
    assert ((table["c"] + table["b"]) % p == table["a"])[~odd].all()


def test_primality_agrees_with_a_list():
    for modulus in range(2, 214):
        is_prime = all(modulus % factor for factor in range(2, modulus))
        if is_prime:
            require_prime(modulus)
        else:
            with pytest.raises(ValueError, match=f"needs a prime modulus, but got {modulus} = "):
                require_prime(modulus)
    assert all(require_prime(p) == p for p in PRIMES)
    assert [prime_factors(n) for n in (1, 8, 96, 97, 210)] == [[], [2], [2, 3], [97], [2, 3, 5, 7]]


@pytest.mark.parametrize("name", [*RULES, *DIVISIONS])
def test_only_division_needs_a_prime(name):
    if name in RULES:
        assert len(make_table(name, 96).equations) == 96**2
    else:
        with pytest.raises(ConfigError, match=r"`operation\.modulus` division needs a prime modulus"):
            make_table(name, 96)


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_permutations_are_a_group(degree):
    product = square("permutation_product", degree)
    every = np.arange(len(product))
    assert (np.sort(product, axis=0) == every[:, None]).all()  # closed, and every element has inverses
    assert (np.sort(product, axis=1) == every).all()
    assert (product[0] == every).all()
    assert (product[:, 0] == every).all()
    assert (product[product] == product[:, product]).all()  # (xy)z = x(yz)
    assert (product == product.T).all() == (degree == 2)


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_conjugation_and_sandwich_are_made_of_products(degree):
    product, conjugate, sandwich = (square(name, degree) for name in PRODUCTS)
    x = np.arange(len(product))[:, None]
    assert (product[conjugate, x] == product).all()  # (x y x⁻¹) x = x y
    assert (sandwich == product[product, x]).all()


@pytest.mark.parametrize("degree", [3, 4, 5])
def test_conjugates_have_equal_cycles(degree):
    types = [cycle_type(x) for x in sorted(itertools.permutations(range(degree)))]
    number = np.array([sorted(set(types)).index(cycles) for cycles in types])
    assert (number[square("permutation_conjugate", degree)] == number).all()
    assert (number[square("permutation_sandwich", degree)] != number).any()


def cycle_type(x: tuple[int, ...]) -> tuple[int, ...]:
    """For every point the length of its cycle, in order of length."""
    lengths = []
    for start in range(len(x)):
        point, length = x[start], 1
        while point != start:
            point, length = x[point], length + 1
        lengths.append(length)
    return tuple(sorted(lengths))


def test_a_sum_commutes_and_a_difference_does_not():
    for name, commutes in [("add", True), ("multiply", True), ("sum_of_squares", True), ("subtract", False)]:
        answers = make_table(name, 11).equations["c"].to_numpy().reshape(11, 11)
        assert (answers == answers.T).all() == commutes, name


@pytest.mark.parametrize(("size", "seed"), [*((5, seed) for seed in range(40)), (6, 0), (8, 1), (11, 2)])
def test_latin_square_is_one_and_no_groups(size, seed):
    found = random_square(size, seed)
    assert (np.sort(found, axis=0) == np.arange(size)[:, None]).all()
    assert (np.sort(found, axis=1) == np.arange(size)).all()
    assert not obeys_quadrangle_criterion(found.tolist())


def test_latin_square_is_determined_by_its_seed():
    assert (random_square(7, 3) == random_square(7, 3)).all()
    assert (random_square(7, 3) != random_square(7, 4)).any()
    assert make_table("latin_square").equations["c"].tolist() == random_square(7, 0).ravel().tolist()


def test_latin_square_has_forgotten_where_the_walk_began():
    """It agrees with the cyclic group's table in one cell of 31, within 5 standard deviations."""
    agrees = random_square(31, 0) == np.add.outer(np.arange(31), np.arange(31)) % 31
    assert abs(agrees.mean() - 1 / 31) < 5 * (1 / 31 / 31**2) ** 0.5


@pytest.mark.parametrize("group", ["cyclic", "permutations"])
def test_renamed_group_is_recognised(group):
    product = {
        "cyclic": make_table("add").equations["c"].to_numpy().reshape(7, 7),
        "permutations": square("permutation_product", 3),
    }[group]
    random = np.random.default_rng(0)
    rows, columns, symbols = (random.permutation(len(product)) for _ in range(3))
    renamed = symbols[product[rows][:, columns]]
    assert is_group_table(renamed)
    assert obeys_quadrangle_criterion(renamed.tolist())


def test_walk_meets_groups_as_often_as_there_are():
    """Of the 161,280 Latin squares of order 5, 17,280 = 5!³ / 100 are isotopic to the cyclic group."""
    walk, met = Walk(5, np.random.default_rng(0)), 0
    for _ in range(3000):
        walk.run(30)
        met += is_group_table(np.array(walk.symbol))
    share = 17280 / 161280
    assert abs(met / 3000 - share) < 5 * (share * (1 - share) / 3000) ** 0.5


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_split_is_a_partition_that_its_seed_determines(split, operation):
    equations = make_table(operation).equations
    masks = [train_mask(equations, split, seed) for seed in range(5)]
    for seed, mask in enumerate(masks):
        assert mask.dtype == bool
        assert mask.shape == (len(equations),)
        assert 0 < mask.sum() < len(equations)
        assert (mask == train_mask(equations, split, seed)).all()
    assert any((mask != masks[0]).any() for mask in masks) == (split != "triangle")


@pytest.mark.parametrize("train_fraction", [0.2, 0.5, 0.75])
@pytest.mark.parametrize("split", sorted(set(SPLITS) - FIXED))
@pytest.mark.parametrize("operation", ["add", "divide"])
def test_training_share_is_the_nearest_there_is(split, operation, train_fraction):
    """One group of equations more or less would be farther away; quadrants differ by 2s + 1 pairs at most."""
    equations = make_table(operation, 13).equations
    group = {"random": 1, "mirror_closed": 2, "quadrant": 2 * 13 - 1}.get(split, 13)
    for seed in range(5):
        mask = train_mask(equations, split, seed, train_fraction)
        assert abs(mask.sum() - train_fraction * len(mask)) <= group / 2


def test_random_split_has_the_asked_size():
    equations = make_table("add", 13).equations
    assert train_mask(equations, "random", 5, 0.3).sum() == round(0.3 * 169)


def test_random_split_is_uniform():
    """Over many seeds every equation is trained on equally often (5 standard deviations)."""
    equations = make_table("add", 7).equations
    share = np.mean([train_mask(equations, "random", seed, 0.3) for seed in range(2000)], axis=0)
    expected = round(0.3 * 49) / 49
    assert abs(share - expected).max() < 5 * (expected * (1 - expected) / 2000) ** 0.5


@pytest.mark.parametrize("split", ["rows", "difference_classes"])
def test_whole_groups_are_a_uniformly_random_set(split):
    """Over many seeds every group, and every pair of groups, is trained on equally often.

    Three groups of seven are trained on. Neighbouring groups are no likelier together than others.
    """
    equations = make_table("add", 7).equations
    config = load(SplitConfig, {"name": split, "train_fraction": 3 / 7}, "split")
    first = (equations["a"] if split == "rows" else (equations["a"] - equations["b"]) % 7).to_numpy()
    row_of_group = [np.flatnonzero(first == group)[0] for group in range(7)]
    chosen = np.array([SPLITS[split](equations, config, seed)[row_of_group] for seed in range(1000)])
    together = chosen.T.astype(float) @ chosen / 1000
    expected = np.where(np.eye(7) == 1, 3 / 7, 3 / 7 * 2 / 6)
    assert (abs(together - expected) < 5 * (expected * (1 - expected) / 1000) ** 0.5).all()


@pytest.fixture(params=["add", "divide"])
def equations(request) -> pd.DataFrame:
    """A table with every pair, and one without those of b = 0."""
    return make_table(request.param, 11).equations


def test_mirror_closed_split_keeps_mirrors_together(equations):
    train = train_mask(equations, "mirror_closed")
    task = Task(Table("", equations, None), pd.DataFrame({"0": train, "1": ~train}))
    assert not (task.mirrored_mask(0) | task.mirrored_mask(1)).any()


@pytest.mark.parametrize("train_fraction", [0.01, 0.4])
def test_quadrant_holds_out_a_product_of_sets_and_trains_on_every_token(equations, train_fraction):
    train = train_mask(equations, "quadrant", 0, train_fraction)
    held_out = equations[~train]
    first, second = set(held_out["a"]), set(held_out["b"])
    assert len(first) == len(second)
    assert len(held_out) == len(first) * len(second)
    assert set(equations.loc[train, "a"]) == set(equations["a"])
    assert set(equations.loc[train, "b"]) == set(equations["b"])


@pytest.mark.parametrize("split", ["rows", "difference_classes"])
def test_classes_are_trained_on_whole_or_not_at_all(equations, split):
    classes = equations["a"] if split == "rows" else (equations["a"] - equations["b"]) % 11
    train = train_mask(equations, split)
    assert set(classes[train]).isdisjoint(classes[~train])
    assert len(set(classes[train])) == 4  # the nearest to 0.4 of 11


def test_triangle_is_the_pairs_in_order(equations):
    assert (train_mask(equations, "triangle") == (equations["a"] <= equations["b"])).all()


def test_two_differences_are_adjacent_and_go_with_the_seed():
    table = make_table("add", 11).equations
    difference = (table["a"] - table["b"]) % 11
    for seed, classes in [(0, {0, 1}), (3, {3, 4}), (10, {10, 0}), (11, {0, 1})]:
        train = train_mask(table, "two_differences", seed)
        assert set(difference[train]) == classes
        assert train.sum() == 2 * 11


def test_mirrored_pairs_by_definition():
    task = make_task(modulus=7)
    train = task.train_mask(0)
    pairs = list(task.equations[["a", "b"]].itertuples(index=False, name=None))
    known = {pair for pair, is_train in zip(pairs, train, strict=True) if is_train}
    expected = [not is_train and (b, a) in known for (a, b), is_train in zip(pairs, train, strict=True)]
    assert (task.mirrored_mask(0) == expected).all()


def training_set(name: str, table: pd.DataFrame, p: int) -> np.ndarray:
    """A mask of a + b mod p that holds out five of what it holds out, or half of all."""
    a, b, c = (table[column].to_numpy() for column in "abc")
    kept = np.isin(np.arange(p), np.random.default_rng(0).permutation(p)[5:])
    return {
        "random": lambda: train_mask(table, "random", 0, 0.5),
        "quadrant": lambda: train_mask(table, "quadrant", 0, 0.7),
        "difference classes": lambda: train_mask(table, "difference_classes", 0, 0.5),
        "no wrap": lambda: a + b < p,
        "triangle": lambda: train_mask(table, "triangle"),
        "two differences": lambda: train_mask(table, "two_differences"),
        "rows": lambda: train_mask(table, "rows", 0, 1 - 5 / p),
        "tokens never seen": lambda: kept[a] & kept[b],
        "sum classes": lambda: kept[c],
    }[name]()


@pytest.mark.parametrize(
    ("name", "untied", "tied"),
    [
        ("random", 0, 0),
        ("quadrant", 0, 0),
        ("difference classes", 0, 0),
        ("no wrap", 0, 0),
        ("triangle", 0, 0),
        ("two differences", 23 - 2, 0),
        ("rows", 5, 0),
        ("tokens never seen", 2 * 5, 5),
        ("sum classes", 5, 5),
    ],
)
def test_free_labels_of_known_training_sets(name, untied, tied):
    table = make_table("add", 23)
    train = training_set(name, table.equations, 23)
    assert deficits(table.equations, table.additive, train[None], tied=False) == [untied]
    assert deficits(table.equations, table.additive, train[None], tied=True) == [tied]


@pytest.mark.parametrize("operation", ["subtract", "multiply", "divide", "sum_of_squares"])
def test_free_labels_of_rows_held_out(operation):
    """Shared labels are known from the second operand, in every operation with an additive form."""
    table = make_table(operation, 23)
    squares = (table.equations["a"] ** 2 % 23).to_numpy()
    train = ~np.isin(squares, [1, 4])  # rows ±1 and ±2, all of them with a logarithm
    assert deficits(table.equations, table.additive, train[None], tied=False) == [4]
    assert deficits(table.equations, table.additive, train[None], tied=True) == [0]


def test_token_without_logarithm_does_not_count():
    table = make_table("multiply", 7)
    train = ((table.equations["a"] > 0) & (table.equations["b"] > 0)).to_numpy()
    assert deficits(table.equations, table.additive, train[None], tied=False) == [0]


@pytest.mark.parametrize("p", [23, 97])
def test_rank_of_a_prime_table(p):
    """The solutions are the homomorphisms to GF(p) and a constant for each table of labels."""
    table = make_table("add", p)
    assert rank(table.equations, table.additive, p, tied=False) == 3 * p - 3
    assert rank(table.equations, table.additive, p, tied=True) == 2 * p - 2


def rank(equations: pd.DataFrame, additive: Additive, q: int, tied: bool) -> int:
    """How many labels the equations determine over GF(q)."""
    system = System.of(equations, additive, tied)
    return system.unknown - solutions(system, q).shape[1]


@pytest.mark.parametrize("operation", ["add", "subtract", "sum_of_squares"])
@pytest.mark.parametrize("tied", [False, True])
def test_ranks_equal_slow_elimination(operation, tied):
    """Random training sets of every size and fields that need not suit the modulus."""
    table = make_table(operation, 6)
    for seed in range(30):
        train = train_mask(table.equations, "random", seed, (seed + 1) / 31)
        some = table.equations[train]
        rows = list(some.itertuples(index=False, name=None))
        for q in (2, 3, 5):
            expected = additive_rank(rows, table.additive.operand_sign, q, tied)
            assert rank(some, table.additive, q, tied) == expected


@pytest.mark.parametrize("tied", [False, True])
def test_largest_deficit_over_the_fields_is_reported(tied):
    table = make_table("add", 6)
    rows = list(table.equations.itertuples(index=False, name=None))
    disagree = False
    for seed in range(60):
        train = train_mask(table.equations, "random", seed, 0.4)
        some = [row for row, is_train in zip(rows, train, strict=True) if is_train]
        by_field = [additive_rank(rows, 1, q, tied) - additive_rank(some, 1, q, tied) for q in (2, 3)]
        assert deficits(table.equations, table.additive, train[None], tied) == [max(by_field)]
        disagree |= by_field[0] != by_field[1]
    assert disagree


def test_published_fractions_determine_addition():
    task = make_task(modulus=97, train_fraction=0.3)
    assert [split["deficit"] for split in task_files.describe(task)["splits"].values()] == 3 * [
        {"untied": 0, "tied": 0}
    ]


@pytest.mark.parametrize("name", OPERATIONS)
def test_additive_form_is_said_of_the_operations_that_have_one(name):
    expected = {
        "add": Additive(7, 1, labels_zero=True),
        "subtract": Additive(7, -1, labels_zero=True),
        "sum_of_squares": Additive(7, 1, labels_zero=True),
        "multiply": Additive(6, 1, labels_zero=False),
        "divide": Additive(6, -1, labels_zero=False),
    }
    assert make_table(name).additive == expected.get(name)


@pytest.mark.parametrize(("operation", "labels"), [("multiply", "exact"), ("add", "shuffled")])
def test_no_deficit_where_there_is_no_additive_form(operation, labels):
    meta = task_files.describe(make_task(operation, 10, labels))
    assert meta["additive"] is None
    assert [split["deficit"] for split in meta["splits"].values()] == [None] * 3
    assert warning(meta) is None


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "sum_of_squares"])
def test_additive_form_solves_the_table(name):
    """Labels x, y, z found by hand satisfy every equation that the form speaks of."""
    table = make_table(name, 7)
    logarithm = np.array([-1, 0, 2, 1, 4, 5, 3])  # to base 3 modulo 7
    label = {"sum_of_squares": np.arange(7) ** 2, "multiply": logarithm, "divide": logarithm}
    x = label.get(name, np.arange(7))
    z = x if name in {"multiply", "divide"} else np.arange(7)
    form, rows = table.additive, table.equations
    if not form.labels_zero:
        rows = rows[(rows["a"] > 0) & (rows["b"] > 0)]
    assert ((x[rows["a"]] + form.operand_sign * x[rows["b"]] - z[rows["c"]]) % form.order == 0).all()


@pytest.mark.parametrize(
    ("deficit", "message"),
    [
        ([(0, 0), (0, 0)], None),
        ([None, None], None),
        (
            [(32, 0), (30, 0)],
            "split seeds 0, 1: the training set does not determine the operation (up to 32 untied, 0 tied "
            "coordinates are free): networks without shared operand tables cannot generalize",
        ),
        (
            [(0, 0), (4, 2)],
            "split seed 1: the training set does not determine the operation (up to 4 untied, 2 tied "
            "coordinates are free): networks without shared operand tables cannot generalize, and with split "
            "seed 1 no network can",
        ),
    ],
)
def test_warning_says_who_cannot_generalize(deficit, message):
    entries = [d and {"untied": d[0], "tied": d[1]} for d in deficit]
    assert warning({"splits": {str(i): {"deficit": d} for i, d in enumerate(entries)}}) == message


def test_shuffled_labels_keep_the_label_counts():
    exact, shuffled = make_task(), make_task(labels="shuffled")
    assert sorted(shuffled.equations["c"]) == sorted(exact.equations["c"])
    assert (shuffled.equations["c"] != exact.equations["c"]).mean() > 0.8


def shuffled_answers(seed: int) -> np.ndarray:
    """Of a + b mod 41, as an array with a row for each a and a column for each b."""
    table = make_table("add", 41)
    config = load(LabelsConfig, {"name": "shuffled", "seed": seed}, "labels")
    return LABELS["shuffled"](table, config).equations["c"].to_numpy().reshape(41, 41)


def test_shuffled_labels_are_determined_by_their_seed():
    assert (shuffled_answers(1) == shuffled_answers(1)).all()
    assert (shuffled_answers(1) == shuffled_answers(2)).mean() < 0.1  # one in 41 by chance


def test_shuffled_labels_have_nothing_of_the_table():
    """No shift, row or column of it: each agrees with the answers as often as chance has it (5 deviations).

    In the table every row and every column has each answer once, in a random one two thirds of them.
    """
    given, number = shuffled_answers(0), np.arange(41)
    spread = (1 / 41 * 40 / 41 / 41**2) ** 0.5
    for a_times, b_times in [(1, 1), (1, 0), (0, 1), (1, -1)]:
        rule = np.add.outer(a_times * number, b_times * number)
        shares = np.bincount(((given - rule) % 41).ravel(), minlength=41) / 41**2
        assert abs(shares - 1 / 41).max() < 5 * spread
    assert max(len(set(line)) for line in [*given, *given.T]) < 41


@pytest.mark.parametrize(("operation", "labels"), [("divide", "exact"), ("add", "shuffled")])
def test_saved_task_reads_back(operation, labels, tmp_path):
    task = make_task(operation, labels=labels)
    task_files.save(task, tmp_path / "t")
    again = task_files.read(tmp_path / "t")
    assert again.equations.equals(task.equations)
    assert again.splits.equals(task.splits)
    assert again.sizes == tasks.Sizes(tokens=11, classes=11)
    assert (again.table.formula, again.table.additive) == (task.table.formula, task.table.additive)
    assert task_files.read_meta(tmp_path / "t") == task_files.describe(task)


def test_description_counts_what_is_trained_on():
    task = make_task(modulus=5, train_fraction=0.6)
    train, shared = task.train_mask(1), task.mirrored_mask(1)
    assert task.train_size(1) == 15
    assert task_files.describe(task)["splits"]["1"] == {
        "train": 15,
        "validation": 10,
        "train_share": 0.6,
        "mirrored_validation_share": round(shared.sum() / (~train).sum(), 4),
        "deficit": {"untied": 0, "tied": 0},
    }


def test_each_purpose_of_each_seed_has_a_stream_of_its_own():
    purposes = [INITIALISATION, BATCHES, LABEL_NOISE, EVALUATION_SAMPLE]
    seeds = {derived_seed(seed, purpose) for seed in range(200) for purpose in purposes}
    assert len(seeds) == 200 * 4
    streams = [np.random.default_rng(derived_seed(0, purpose)).normal(size=1000) for purpose in purposes]
    assert abs(np.corrcoef(streams) - np.eye(4)).max() < 5 / 1000**0.5


def test_unknown_split_seed_names_the_known_ones(tiny_task):
    with pytest.raises(ConfigError, match="names 9, but the task is split with seeds 0, 1, 2"):
        tasks.require_split(tiny_task, 9, "e.replicas.split_seeds")


def test_task_that_was_not_split_names_the_stage(tmp_path):
    with pytest.raises(ConfigError, match="run `dvc repro split@gone` first"):
        task_files.read(tmp_path / "gone")
