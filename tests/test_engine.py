"""The stack of replicas against one network at a time, and its independence of packing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_task
from examples import BATCHES, CLAMPS, FILTERS, MODELS, OPTIMIZERS, SCHEDULES, experiment
from reference import LOGITS, SequentialTrainer, frozen_prefixes
from torch.testing import assert_close

from grokking.engine.answers import answers
from grokking.engine.evaluation import Evaluator, evaluate
from grokking.engine.metrics import weight_norms
from grokking.engine.stack import ReplicaStack
from grokking.experiment import expand
from grokking.models import FAMILIES
from grokking.training.loop import train
from grokking.updates.gradient_filters import FILTERS as ALL_FILTERS
from grokking.updates.losses import LOSSES
from grokking.updates.optimizers import OPTIMIZERS as ALL_OPTIMIZERS
from grokking.updates.projections import PROJECTIONS
from grokking.updates.weight_clamps import CLAMPS as ALL_CLAMPS

STEPS = 30
PAIRS = [
    (family, optimizer)
    for family, optimizer in itertools.product(MODELS, OPTIMIZERS)
    if (family, optimizer) != ("numpy_mlp", "muon")  # refused: it has no dense layers of torch
]
GRID = {
    "optimizer.learning_rate": [1e-2, 3e-3],
    "optimizer.weight_decay": [0.0, 0.3],
    "label_noise": [0.0, 0.2],
    "model.init_scale": [1.0, 0.7],
}


@pytest.mark.parametrize(
    ("place", "examples", "registry"),
    [
        ("MODELS", MODELS, FAMILIES),
        ("OPTIMIZERS", OPTIMIZERS, ALL_OPTIMIZERS),
        ("FILTERS", FILTERS, ALL_FILTERS),
        ("CLAMPS", CLAMPS, ALL_CLAMPS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_has_an_example(place, examples, registry):
    missing = [name for name in registry if name not in examples]
    assert not missing, f"add an example of {', '.join(missing)} to {place} in tests/examples.py"
    assert set(examples) == set(registry)


def test_numbers_of_optimizers_filters_and_clamps_have_different_names():
    """An update has one column for each name."""
    sections = [OPTIMIZERS, FILTERS, CLAMPS]
    keys = [{key for example in section.values() for key in example} - {"name"} for section in sections]
    for one, other in itertools.combinations(keys, 2):
        assert not one & other, "call it something else in one of them"


def numbers_of_replicas() -> list[tuple[str, str]]:
    """A family, and the dotted key of a number that replicas of one stack may have for themselves."""
    found = {}
    for family in reversed(MODELS):
        (replica,) = expand(experiment(family, "sgd"), "e")
        floats = [key for key, value in replica.row().items() if isinstance(value, float)]
        shapes = {f"model.{name}" for name in FAMILIES[family].shape_floats}
        found |= {key: family for key in floats if key not in shapes}
    return [(family, key) for key, family in found.items()]


@pytest.mark.parametrize(("family", "key"), numbers_of_replicas())
def test_a_number_may_differ_between_the_replicas_of_a_stack(family, key, tiny_task):
    """Each is trained as if it were alone, with the value that is its own, also after the other has left."""
    common = {"label_noise": 0.1, "precision": "float32"}
    (replica,) = expand(experiment(family, "sgd", **common), "e")
    value = replica.row()[key]
    replicas = expand(experiment(family, "sgd", grid={key: [value / 2 + 0.01, value]}, **common), "e")
    assert len({replica.stack_key(tiny_task) for replica in replicas}) == 1
    together, *alone = (
        ReplicaStack(chosen, tiny_task, "cpu") for chosen in (replicas, replicas[:1], replicas[1:])
    )
    for stack in (together, *alone):
        stack.update(5)
    for position, single in enumerate(alone):
        assert not _differing(together.snapshot(position), single.snapshot(0))
    first, second = (together.snapshot(position) for position in range(2))
    assert any((first[name] != second[name]).any() for name in first), "it has no effect"
    together.select([1])
    for stack in (together, alone[1]):
        stack.update(5)
    left = _differing(together.snapshot(0), alone[1].snapshot(0))
    assert not left, f"index what the stack keeps of {key} in ReplicaStack.select()"


def _differing(one, other):
    """Names of the parameters of which not all bits are the same."""
    return [name for name in one if (one[name] != other[name]).any()]


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "optimizer"), PAIRS)
def test_stack_equals_sequential_training(family, optimizer, loss, replicas, tiny_task, device):
    """Own rates, decays, seeds, splits, labels and initial scales: parameters and state over 30 steps."""
    chosen = expand(experiment(family, optimizer, seeds=(3, 4), grid=GRID, loss=loss), "e")
    assert len({replica.stack_key(tiny_task) for replica in chosen}) == 1
    picked = [chosen[0], chosen[13], chosen[31]][-replicas:]
    _assert_equal_training(picked, tiny_task, device)


@pytest.mark.parametrize("clamp", CLAMPS)
@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("gradient_filter", FILTERS)
def test_accelerators_equal_their_definitions(gradient_filter, projection, clamp, tiny_task, device):
    """Every combination, families and what is frozen in turn: three replicas with strengths of their own."""
    grids = {
        "none": {},
        "grokfast_ema": {"gradient_filter.decay": [0.9, 0.5], "gradient_filter.amplitude": [1.0, 3.0]},
        "grokfast_ma": {"gradient_filter.amplitude": [0.2, 2.0]},
        "initial_norm": {},
        "row_norm": {"weight_clamp.max_norm": [0.3, 1.0]},
    }
    chosen = [*FILTERS].index(gradient_filter) + 2 * [*CLAMPS].index(clamp)
    mapping = experiment(
        ["one_hot_mlp", "embedding_mlp", "transformer"][chosen % 3],
        grid=grids.get(gradient_filter, {}) | grids.get(clamp, {}),
        seeds=(3, 4, 5),
        gradient_filter=FILTERS[gradient_filter],
        gradient_projection=projection,
        weight_clamp=CLAMPS[clamp],
        frozen=["nothing", "first_layer", "readout"][(chosen + (projection == "none")) % 3],
    )
    replicas = expand(mapping, "e")
    _assert_equal_training([replicas[0], replicas[-2], replicas[-1]], tiny_task, device)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("frozen", ["first_layer", "readout"])
def test_frozen_parameters_never_change_and_all_others_do(family, frozen, tiny_task):
    replicas = expand(experiment(family, frozen=frozen), "e")
    stack = ReplicaStack(replicas, tiny_task, "cpu")
    before = stack.snapshot(0)
    stack.update(2)
    moved = {name for name, value in stack.snapshot(0).items() if (value != before[name]).any()}
    kept = frozen_prefixes(frozen, family, stack.model)
    assert moved == {name for name in before if not name.startswith(kept)}


@pytest.mark.parametrize("batch", BATCHES)
def test_single_replica_equals_sequential_training(batch, tiny_task, device):
    _assert_equal_training(expand(experiment(batch=batch, seeds=(7,)), "e"), tiny_task, device)


def _assert_equal_training(replicas, task, device):
    stack = ReplicaStack(replicas, task, device)
    twins = [SequentialTrainer(replica, task) for replica in replicas]
    for step in range(1, STEPS + 1):
        stack.update(1)
        for twin in twins:
            twin.update(step)
    for position, twin in enumerate(twins):
        _assert_same_state(stack, position, twin)


def _assert_same_state(stack, position, twin):
    slots = {"momentum": "momentum_buffer", "mean": "exp_avg", "square": "exp_avg_sq"}
    rule = stack.update_rule
    for name, parameter in twin.model.named_parameters():
        assert_close(
            stack.params.views(stack.params.data)[name][position].cpu(), parameter, rtol=1e-8, atol=1e-10
        )
        theirs = twin.optimizer.state[parameter]
        for slot in set(slots) & set(rule.state):
            if slots[slot] in theirs:  # Muon has no moments of hidden matrices
                value = stack.params.views(rule.state[slot])[name][position].cpu()
                assert_close(value, theirs[slots[slot]], rtol=1e-7, atol=1e-10)
    for i, momentum in enumerate(_momenta(twin, rule.matrix_count) if "momentum/0" in rule.state else []):
        assert_close(rule.state[f"momentum/{i}"][position].cpu(), momentum, rtol=1e-7, atol=1e-10)


def _momenta(twin, hidden):
    """Muon's momentum of each hidden matrix, of which a weight may hold several."""
    weights = dict(twin.model.named_parameters())
    for name, count in hidden.items():
        yield from twin.optimizer.state[weights[name]]["momentum_buffer"].chunk(count)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("batch", BATCHES)
def test_replica_is_bitwise_the_same_alone_and_among_neighbours(family, batch, tiny_task):
    """Alone, in a batch of eight, and after the neighbours left half-way."""
    grid = {"optimizer.learning_rate": [0.05]}
    mapping = experiment(family, "sgd", batch, tuple(range(8)), grid, precision="float32")
    _assert_bitwise_alone_and_among_neighbours(expand(mapping, "e"), tiny_task)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("clamp", ["initial_norm", "row_norm"])
@pytest.mark.parametrize("gradient_filter", ["grokfast_ema", "grokfast_ma"])
def test_accelerated_replica_is_bitwise_the_same(family, clamp, gradient_filter, tiny_task):
    mapping = experiment(
        family,
        "adam" if family == "numpy_mlp" else "muon",
        seeds=tuple(range(8)),
        precision="float32",
        gradient_filter=FILTERS[gradient_filter],
        gradient_projection="orthogonal",
        weight_clamp=CLAMPS[clamp],
        loss="stablemax_cross_entropy",
    )
    _assert_bitwise_alone_and_among_neighbours(expand(mapping, "e"), tiny_task)


def _assert_bitwise_alone_and_among_neighbours(replicas, tiny_task):
    alone, among = ReplicaStack(replicas[:1], tiny_task, "cpu"), ReplicaStack(replicas, tiny_task, "cpu")
    for step in range(1, STEPS + 1):
        alone.update(1)
        among.update(1)
        if step == STEPS // 2:
            among.select([0, 5])
    for name, value in alone.snapshot(0).items():
        assert (value == among.snapshot(0)[name]).all(), name
    everything = np.arange(len(tiny_task.equations))[None]
    ours, theirs = alone.measure([0], everything), among.measure([0, 1], everything.repeat(2, 0))
    for field in ("loss_RE", "correct_RE", "square_RE"):
        assert torch.equal(getattr(ours, field)[0], getattr(theirs, field)[0]), field
    for name, norm_R in weight_norms(alone.update_rule.named_params).items():
        assert norm_R[0] == weight_norms(among.update_rule.named_params)[name][0], name


def test_neighbours_data_does_not_reach_a_replica(tiny_task):
    """Another split for replica 1 leaves the gradients of replica 0 bitwise unchanged."""
    replicas = expand(experiment(seeds=(0, 1, 2)), "e")
    with_first, with_second = ([replicas[0], replicas[other]] for other in (1, 2))
    stacks = [ReplicaStack(pair, tiny_task, "cpu") for pair in (with_first, with_second)]
    for stack in stacks:
        stack.update(1)
    for name, value in stacks[0].snapshot(0).items():
        assert (value == stacks[1].snapshot(0)[name]).all(), name
    assert not torch.equal(stacks[0].batches.at(1)[1], stacks[1].batches.at(1)[1])


def test_evaluation_equals_plain_means(tiny_task):
    """On all equations, from the plain form of the model; at the end of the budget nothing is sampled."""
    (replica,) = expand(experiment("embedding_mlp"), "e")
    stack, twin = ReplicaStack([replica], tiny_task, "cpu"), SequentialTrainer(replica, tiny_task)
    a, b, c = (twin.columns[name] for name in "abc")
    logits = LOGITS["embedding_mlp"](twin.model, a, b).detach()
    validation = torch.tensor(~tiny_task.train_mask(0))
    (measured,) = evaluate(stack, [Evaluator(replica, tiny_task)], 30)
    accuracy = (logits.argmax(1) == c)[validation].double().mean()
    assert measured["validation_accuracy"] == pytest.approx(accuracy.item())
    loss = torch.nn.functional.cross_entropy(logits[~validation], c[~validation])
    assert measured["train_loss"] == pytest.approx(loss.item())
    centred = logits - logits.mean(1, keepdim=True)
    assert measured["logit_rms"] == pytest.approx(centred.square().mean().sqrt().item())
    total = torch.cat([p.flatten() for p in twin.model.parameters()]).norm()
    assert measured["weight_norm"] == pytest.approx(total.item())
    assert measured["train_equations"] + measured["validation_equations"] == len(c)


def test_accuracy_of_groups_is_that_of_their_equations(tiny_task):
    """Mirrored and unmirrored validation pairs, corrupted and clean training ones, each counted by hand."""
    (replica,) = expand(experiment("embedding_mlp", label_noise=0.25), "e")
    stack, twin = ReplicaStack([replica], tiny_task, "cpu"), SequentialTrainer(replica, tiny_task)
    stack.update(20)
    for step in range(1, 21):
        twin.update(step)
    a, b, given = (twin.columns[name] for name in "abc")
    correct = (LOGITS["embedding_mlp"](twin.model, a, b).argmax(1) == given).tolist()
    (measured,) = evaluate(stack, [Evaluator(replica, tiny_task)], 30)

    trained = {
        (a, b) for a, b, train in zip(a.tolist(), b.tolist(), tiny_task.train_mask(0), strict=True) if train
    }
    right = tiny_task.equations["c"].tolist()
    groups = {}
    for x, y, label, answer, hit in zip(a.tolist(), b.tolist(), given.tolist(), right, correct, strict=True):
        if (x, y) in trained:
            name = "train_accuracy/" + ("clean" if label == answer else "corrupted")
        else:
            name = "validation_accuracy/" + ("mirrored" if (y, x) in trained else "unmirrored")
        groups.setdefault(name, []).append(hit)
    assert len(groups) == 4
    assert 0 < np.mean(groups["train_accuracy/clean"]) < 1
    for name, hits in groups.items():
        assert measured[name] == pytest.approx(np.mean(hits)), name


def test_groups_without_equations_are_left_out(tiny_task):
    (replica,) = expand(experiment(), "e")
    (measured,) = evaluate(ReplicaStack([replica], tiny_task, "cpu"), [Evaluator(replica, tiny_task)], 0)
    assert {name for name in measured if "accuracy/" in name} == {
        "validation_accuracy/mirrored",
        "validation_accuracy/unmirrored",
    }


def test_label_noise_gives_wrong_answers_to_its_share_of_the_training_equations(tiny_task):
    noisy, exact = expand(experiment(seeds=(2,), grid={"label_noise": [0.25, 0.0]}), "e")
    given, right = answers(noisy, tiny_task), tiny_task.equations["c"].to_numpy()
    train = tiny_task.train_mask(2)
    assert (given != right).sum() == round(0.25 * train.sum())
    assert (given == right)[~train].all()
    assert set(given) <= set(right)
    assert (answers(exact, tiny_task) == right).all()


def noisy_answers(task, seeds, share, split_seed=0):
    """Given answers minus right ones, of replicas with these seeds and one split: (replicas, equations)."""
    (replica,) = expand(experiment(label_noise=share), "e")
    right = task.equations["c"].to_numpy()
    replicas = [replace(replica, seed=seed, split_seed=split_seed) for seed in seeds]
    return np.array([answers(replica, task) - right for replica in replicas]) % task.sizes.classes


def test_label_noise_is_drawn_by_the_seed_and_not_by_the_split_seed(tiny_task):
    one, same, other = noisy_answers(tiny_task, [3, 3, 4], 0.25)
    assert (one == same).all()
    assert (one != other).any()
    noise = [noisy_answers(tiny_task, [3], 0.999, split_seed) for split_seed in (0, 1)]
    for split_seed, given in enumerate(noise):
        assert ((given[0] != 0) == tiny_task.train_mask(split_seed)).all()


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.05, 42), (0.101, 85), (0.25, 210), (0.9, 756)])
def test_label_noise_is_of_exactly_its_share(share, wrong):
    """Of 840 training equations."""
    task = make_task(modulus=41, train_fraction=0.5)
    assert (noisy_answers(task, range(5), share) != 0).sum(1).tolist() == [wrong] * 5


def test_label_noise_meets_all_training_equations_and_all_wrong_answers_alike(tiny_task):
    """Over 1,000 seeds (5 standard deviations): half of 73 equations have one of ten wrong answers."""
    off_by = noisy_answers(tiny_task, range(1000), 0.5)[:, tiny_task.train_mask(0)]
    assert off_by.shape == (1000, 73)
    often = (off_by != 0).mean(0)
    assert (off_by != 0).sum(1).tolist() == [36] * 1000
    assert abs(often - 36 / 73).max() < 5 * (36 / 73 * 37 / 73 / 1000) ** 0.5
    shares = np.bincount(off_by[off_by != 0], minlength=11)[1:] / (1000 * 36)
    assert abs(shares - 1 / 10).max() < 5 * (1 / 10 * 9 / 10 / (1000 * 36)) ** 0.5


def test_label_noise_gives_answers_that_the_network_can_give():
    """Sums of squares mod 8 are 0, 1, 2, 4 and 5: there are eight tokens, but six answers."""
    task = make_task("sum_of_squares", 8)
    (replica,) = expand(experiment(label_noise=0.5), "e")
    given = {int(c) for seed in range(20) for c in answers(replace(replica, seed=seed), task)}
    assert given == set(range(6))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_rates_follow_the_schedule_after_a_neighbour_has_left(schedule, tiny_task):
    """It leaves during warm-up; the others' rates then are their own, to the bit."""
    grid = {"optimizer.learning_rate": [1e-2, 3e-3, 2e-2]}
    changes = {"schedule": SCHEDULES[schedule], "precision": "float32"}
    replicas = expand(experiment(grid=grid, **changes), "e")
    together = ReplicaStack(replicas, tiny_task, "cpu")
    alone = [ReplicaStack([replicas[i]], tiny_task, "cpu") for i in (2, 1)]
    for stack in (together, *alone):
        stack.update(2)
    together.select([2, 1])
    for stack in (together, *alone):
        stack.update(8)
    for position, single in enumerate(alone):
        assert not _differing(together.snapshot(position), single.snapshot(0))


def test_a_cosine_reaches_zero_at_the_budget_warm_up_included(tiny_task):
    """10 updates of warm-up, 20 of the cosine: at half of them half the rate, at the last none."""
    schedule = {"name": "cosine", "warmup_steps": 10}
    (replica,) = expand(experiment(optimizer="sgd", schedule=schedule), "e")
    stack = ReplicaStack([replica], tiny_task, "cpu")
    rates, moved = {}, {}
    for step in range(1, 31):
        before = stack.snapshot(0)
        stack.update(1)
        rates[step] = stack.update_rule.hparams["learning_rate"].item()
        moved[step] = bool(_differing(before, stack.snapshot(0)))
    at = [1, 5, 10, 20, 30]
    assert [rates[step] for step in at] == pytest.approx([0.01, 0.05, 0.1, 0.05, 0.0], rel=1e-12, abs=0)
    assert [moved[step] for step in (29, 30)] == [True, False]


@pytest.mark.parametrize(
    "grid",
    [
        {"schedule": [SCHEDULES["constant"], SCHEDULES["cosine"]]},
        {"schedule.warmup_steps": [0, 3]},
        {"schedule.step_size": [2, 3]},
        {"schedule.gamma": [0.5, 0.6]},
    ],
    ids=lambda grid: next(iter(grid)),
)
def test_a_stack_has_one_schedule(grid, tiny_task):
    """Its factor of the rate is one number for all of its replicas."""
    replicas = expand(experiment(schedule=SCHEDULES["step"], grid=grid), "e")
    assert len({replica.stack_key(tiny_task) for replica in replicas}) == 2
    with pytest.raises(ValueError, match="replicas of one stack may differ only in"):
        next(train(replicas, tiny_task, "cpu"))


@pytest.mark.parametrize("family", FAMILIES)
def test_examples_in_several_chunks_give_what_they_give_at_once(family, tiny_task, monkeypatch):
    """73 training equations in chunks of 16 and a rest of 9: gradients and what is measured."""
    replicas = expand(experiment(family, "sgd", seeds=(0, 1)), "e")
    index_RE = np.arange(len(tiny_task.equations))[None].repeat(2, 0)
    found = []
    for chunk in (8192, 16):
        monkeypatch.setattr("grokking.engine.stack.CHUNK_OF_EACH_ON_CPU", chunk)
        stack = ReplicaStack(replicas, tiny_task, "cpu")
        stack.update(3)
        measured = stack.measure([0, 1], index_RE)
        found.append([stack.params.data.clone(), *measured])
    assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_alpha_and_betas_are_values_of_a_stack(tiny_task, device):
    """They too may differ within one stack."""
    grid = {"model.alpha": [0.0, 0.5], "optimizer.beta2": [0.98, 0.9]}
    _assert_equal_training(expand(experiment(grid=grid), "e"), tiny_task, device)


@pytest.mark.parametrize("family", ["embedding_mlp", "transformer"])
def test_reduced_matrix_products_stay_near_the_full_ones(family, tiny_task):
    """bfloat16 keeps 8 bits of each factor: losses agree to a percent or so, and not to the bit."""
    grid = {"matmul_precision": ["full", "bfloat16"]}
    replicas = expand(experiment(family, precision="float32", grid=grid, budget=5), "e")
    full, reduced = ([e.metrics["train_loss"] for e in train([r], tiny_task, "cpu")] for r in replicas)
    assert full == pytest.approx(reduced, rel=0.02)
    assert full != pytest.approx(reduced, rel=1e-6)
