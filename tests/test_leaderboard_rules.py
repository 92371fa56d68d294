"""Rules that are submitted to the benchmark: what their files may hold, and that they train as they say."""

import math
import re
from copy import deepcopy

import numpy as np
import pytest
import torch
from submissions import ADAMW, MUON, OWN_ADAMW, OWN_MUON, ROOT, SUBMISSIONS, only, trained_alone

from grokking.config import ConfigError
from grokking.leaderboard import assignment, running
from grokking.leaderboard.rehearsal import rehearse
from grokking.leaderboard.submission import parse, read_submission
from grokking.leaderboard.trials import trials
from grokking.leaderboard.workloads import read_benchmark

# what a submission may hold


@pytest.mark.parametrize("path", SUBMISSIONS, ids=lambda path: path.stem)
def test_every_submission_of_the_laboratory_can_be_trained_on_its_workloads(path):
    benchmark = read_benchmark(ROOT, 1)
    submission = read_submission(path)
    found = assignment.trials_by_workload(benchmark, submission, [])
    names, counts = [workload.name for workload, _ in found], {len(own) for _, own in found}
    if own := submission.declared.WORKLOAD:
        assert (names, counts) == ([own], {10})
    else:
        assert names == ["latin_square", *benchmark.workloads]
        assert counts == {15}


TOP, INSIDE = "\n", "\n\n\ndef f(grad):\n    "
HARMFUL = {
    TOP + "import os": "only `import math` and `import torch` are allowed",
    TOP + "import torch.utils": "only `import math` and `import torch` are allowed",
    TOP + "import torch as t": "only `import math` and `import torch` are allowed",
    TOP + "from grokking.data import tasks": "only `import math` and `import torch` are allowed",
    TOP + "x = open('params.yaml')": "a constant is written out, not computed",
    TOP + "x = 1 / 0": "a constant is written out, not computed",
    TOP + "def f(grad=open('x')):\n    return grad": "its defaults are constants",
    TOP + "@abs\ndef f(grad):\n    return grad": "a function has no decorator",
    TOP + "def f(*, grad=open('x')):\n    return grad": "its defaults are constants",
    TOP + "def f(grad: torch.zeros(9)):\n    return grad": "a function has no annotations",
    TOP + "def f(grad) -> torch.zeros(9):\n    return grad": "a function has no annotations",
    INSIDE + "match grad:\n        case list(grad_fn=1):\n            return grad": "`match` has no use",
    TOP + "class Rule:\n    pass": "only imports, constants and functions stand at the top",
    TOP + "for i in range(3):\n    pass": "only imports, constants and functions stand at the top",
    TOP + "print('x')": "only imports, constants and functions stand at the top",
    INSIDE + "import os": "imports stand at the top",
    INSIDE + "return open('params.yaml')": "`open` is not allowed",
    INSIDE + "return __import__('os')": "`__import__` is not allowed",
    INSIDE + "return getattr(torch, 'os')": "`getattr` is not allowed",
    INSIDE + "return torch.os.system('ls')": "`torch.os` is not allowed; these are: abs, addcdiv,",
    INSIDE + "return torch.load('task.pt')": "`torch.load` is not allowed",
    INSIDE + "return torch.linalg.torch.os": "`torch.linalg.torch` is not allowed; these are: eigh,",
    INSIDE + "t = torch.linalg\n    return t.torch": "`torch.linalg` is written before",
    INSIDE + "t = torch\n    return t.os": "`torch` is written before the name of a function",
    INSIDE + "return grad.__class__": "`.__class__` reaches beyond the tensors",
    INSIDE + "return grad.grad_fn": "`.grad_fn` reaches beyond the tensors",
    INSIDE + "return (x for x in grad).gi_frame": "`.gi_frame` reaches beyond the tensors",
    INSIDE + "return '{0.__globals__}'.format(f)": "`.format` reaches beyond the tensors",
    INSIDE + "math.kept = grad": "attributes are not assigned",
    INSIDE + "global found\n    found = grad": "`global` has no use",
    INSIDE + "return grad.normal_()": "`.normal_` reaches beyond the tensors",
    INSIDE + "return grad.register_hook(f)": "`.register_hook` reaches beyond the tensors",
    INSIDE + "yield from grad": "`yieldfrom` has no use",
    TOP + "kept = []\n\n\ndef f(grad):\n    return kept": "a constant cannot change: use a tuple",
    TOP + "def f(grad, kept={}):\n    return kept": "its defaults are constants",
}


@pytest.mark.parametrize("code", HARMFUL)
def test_what_reaches_beyond_the_tensors_is_refused_with_its_line(code):
    with pytest.raises(ConfigError) as error:
        parse("cheat", OWN_ADAMW + code, "cheat.py")
    assert "cheat.py, line " in str(error.value)
    assert HARMFUL[code] in str(error.value)


WRONG = {
    "SETTINGS = {": (
        "SETTINGS = {'model.width': 3,",
        "set hyperparameters of the rule and keys of optimizer",
    ),
    'RULESET = "tuned"': ('RULESET = "fast"', "RULESET"),
    "'''AdamW written out.'''": ("", "has no docstring"),
    "def update(": ("def updates(", "has neither a function `update` nor the setting optimizer.name"),
    '"low": 0.02': '"low": 0.2',
    "import torch": ("import torch\n\nx = (", "write plain Python"),
    'RULESET = "tuned"\n': ('RULESET = "tuned"\nbreak\n', "'break' outside loop; write plain Python"),
    "(param, grad, state, hparams)": ("(param, grad)", "update takes param, grad, state, hparams"),
    '"learning_rate": {"kind"': (
        '"leanring_rate": {"kind"',
        "gives leanring_rate, which `update` does not use",
    ),
    '"beta1": 0.9': ('"beta1": "high"', "beta1"),
    '"weight_decay": 1.0': (
        '"weight_decay": 1.0, "decay_rate": 0.1',
        "sets weight_decay and decay_rate, which are the same; remove one",
    ),
    'SETTINGS = {"epsilon"': (
        'SETTINGS = {"optimizer.name": "adamw", "epsilon"',
        "has a function `update` and the setting optimizer.name; remove one",
    ),
    "STATE = (": (
        "SLOTS = (",
        "sets SLOTS, which nothing uses; known names: RULESET, WORKLOAD",
    ),
    'STATE = ("mean", "square")': ('STATE = ("mean")', "write a tuple, with a comma: ('mean',)"),
    "param.sub_(": ("return param.sub(", "line 17: `update` changes `param` in place"),
    "    param.sub_(": ("    param = param.sub(", "line 17: `update` changes `param` in place"),
    '"mean", "square")': ('"mean",)', "uses state['square']; name it in `STATE`"),
    'param.mul_(1 - h["learning_rate"] * h["weight_decay"])': (
        "pass",
        "gives weight_decay, which `update` does not use",
    ),
}


WRONG_MATRICES = {
    "(matrix, grad, state, hparams)": (
        "(param, grad, state, hparams)",
        "update_matrix takes matrix, grad, state, hparams",
    ),
    '"momentum": "OI"': ('"momentum": "RI"', "must be made of O, outputs, and I, inputs, but got 'RI'"),
    "def update(": ("def others(", "has neither a function `update` nor the setting optimizer.name"),
    "def update_matrix(": ("def matrices(", "has a `MATRIX_STATE`, but no function `update_matrix`"),
    "MATRIX_STATE": ("DECOUPLED = False\nMATRIX_STATE", "a weight decay of its own"),
    "    matrix.sub_(": ("    matrix = matrix.sub(", "`update_matrix` changes `matrix` in place"),
    '{"momentum": "OI"}': ("{}", "uses state['momentum']; name it in `STATE`, or in `MATRIX_STATE`"),
}


@pytest.mark.parametrize("part", WRONG_MATRICES)
def test_a_rule_on_matrices_with_a_mistake_is_refused_in_one_line(part):
    other, message = WRONG_MATRICES[part]
    with pytest.raises(ConfigError, match="wrong") as error:
        parse("wrong", OWN_MUON.replace(part, other), "wrong.py")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", WRONG)
def test_a_submission_with_a_mistake_is_refused_in_one_line(part, benchmark):
    other, message = (
        WRONG[part] if isinstance(WRONG[part], tuple) else (WRONG[part], "needs `low` below `high`")
    )
    with pytest.raises(ConfigError, match="wrong") as error:
        only(benchmark, parse("wrong", OWN_ADAMW.replace(part, other), "wrong.py"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_rule_without_hyperparameters_tunes_itself(benchmark):
    source = re.sub("SPACE = .*\n", "", OWN_ADAMW.replace('"tuned"', '"self-tuning"'))
    source = source.replace("SETTINGS = {", 'SETTINGS = {"learning_rate": 0.05, ')
    own = only(benchmark, parse("own", source, "own.py"))
    assert len(own) == benchmark.rules.studies * benchmark.rules.trials  # as many seeds as others have points
    assert {trial.replica.config.budget for trial in own} == {90}  # 1.5 times 60
    with pytest.raises(ConfigError, match="is self-tuning, but has a `SPACE`"):
        parse("own", OWN_ADAMW.replace('"tuned"', '"self-tuning"'), "own.py")


def test_a_function_of_python_itself_is_not_there_under_a_name_that_was_let_in():
    source = OWN_ADAMW.replace(
        "\n\n\ndef update", "\n\n\ndef other(open):\n    return open\n\n\ndef update"
    ).replace("    h = {", "    open('params.yaml')\n    h = {")
    submission = parse("own", source, "own.py")
    with pytest.raises(NameError, match="open"):
        submission.rule.update(torch.zeros(1, 2), torch.zeros(1, 2), {"mean": 0, "square": 0}, {})


def test_a_rule_of_its_own_is_trained_as_that_of_the_laboratory(benchmark):
    """The same AdamW, once compiled by the engine, once from the file: equal curves but for rounding."""
    curves = []
    for name, source in (("adamw", ADAMW), ("own", OWN_ADAMW)):
        submission = parse(name, source, name)
        workload = benchmark.workloads["tiny_mlp"]
        job = submission, workload, only(benchmark, submission)[0]
        for _, curve in trained_alone(job):
            curves.append(curve[curve["step"] <= 20])
    for metric in ("train_loss", "weight_norm"):
        np.testing.assert_allclose(curves[0][metric], curves[1][metric], rtol=1e-3)
    assert curves[0]["train_loss"].iloc[-1] < curves[0]["train_loss"].iloc[0]


def test_a_rule_on_matrices_is_trained_as_that_of_the_laboratory(benchmark):
    """Muon written out, on a network with a wide, a square and a tall hidden matrix."""
    assert _first_losses(benchmark, MUON, [25, 20, 20, 25]) == pytest.approx(
        _first_losses(benchmark, OWN_MUON, [25, 20, 20, 25]), rel=1e-3
    )


def test_a_rule_on_matrices_has_its_update_alone_where_there_are_none(benchmark):
    source = OWN_MUON.replace("    average = ", "    matrix.mul_(0)\n    average = ")
    assert _first_losses(benchmark, source, [25]) == _first_losses(benchmark, OWN_MUON, [25])


def _first_losses(benchmark, source, widths):
    """The training losses of the first 20 updates of a network with these hidden widths."""
    workload = deepcopy(benchmark.workloads["tiny_mlp"])
    workload.config.experiment["model"]["hidden_widths"] = widths
    submission = parse("own", source, "own.py")
    trial = trials(submission, workload, benchmark.rules)[0]
    [(_, curve)] = trained_alone((submission, workload, trial))
    return curve[curve["step"] <= 20]["train_loss"].tolist()


def test_a_mistake_in_a_rule_is_told_with_its_line(benchmark):
    source = OWN_ADAMW.replace('h["beta1"] ** h["step"]', 'h["average"]')
    submission, workload = parse("own", source, "own.py"), benchmark.workloads["tiny_mlp"]
    trial = only(benchmark, submission)[0]
    line = source.partition('h["average"]')[0].count("\n") + 1
    with pytest.raises(
        ConfigError, match=f"^own, line {line}: KeyError: 'average'; mend the rule .hparams has"
    ):
        running.train_trial("own", source, trial, workload.task, "cpu")


MISTAKES = {
    'h["momentum"]': (
        'h["momentums"]',
        "KeyError: 'momentums'; mend the rule (hparams has adamw_learning_rate, adamw_weight_decay, beta1, "
        "beta2, epsilon, learning_rate, momentum, step, weight_decay; state in update has mean, square, in "
        "update_matrix momentum)",
    ),
    "grad.lerp(average": ("grad.mT.lerp(average", "; momentum (R, O, I))"),
    "grad, 1 -": ("grad.double(), 1 -", "write .to(param.dtype)"),
}


@pytest.mark.parametrize("part", MISTAKES)
def test_a_mistake_on_matrices_is_told_before_anything_is_trained(part, benchmark):
    """The benchmark's network has no hidden matrix: the rehearsal has two."""
    other, message = MISTAKES[part]
    update, matrices = OWN_MUON.split("def update_matrix")
    submission = parse("own", update + "def update_matrix" + matrices.replace(part, other), "own.py")
    with pytest.raises(ConfigError, match=r"^own, line \d+: ") as error:
        rehearse(submission, only(benchmark, submission)[0])
    assert message in str(error.value)


@pytest.mark.parametrize("path", SUBMISSIONS, ids=lambda path: path.stem)
def test_every_rule_of_the_laboratory_passes_its_rehearsal(path, benchmark):
    submission = read_submission(path)
    if submission.rule is not None:
        rehearse(submission, only(benchmark, submission)[0])


def test_the_submission_that_the_docs_show_passes_its_rehearsal(benchmark):
    page = (ROOT / "docs/leaderboard.md").read_text(encoding="utf-8")
    (source,) = re.findall("```python\n(.*?)```", page, re.DOTALL)
    submission = parse("shown", source, "shown.py")
    assert submission.rule.update_matrices
    rehearse(submission, only(benchmark, submission)[0])


@pytest.mark.parametrize("source", [OWN_ADAMW, OWN_MUON], ids=["vectors", "matrices"])
def test_what_is_put_in_place_of_a_state_is_kept(source, benchmark):
    replaced = source.replace('state["mean"].lerp_(', 'state["mean"] = state["mean"].lerp(').replace(
        'state["momentum"].lerp_(grad, 1 - h["momentum"])',
        'state["momentum"].lerp(grad, 1 - h["momentum"])\n    state["momentum"] = average',
    )
    assert replaced != source
    widths = [25, 20, 25]
    assert _first_losses(benchmark, replaced, widths) == _first_losses(benchmark, source, widths)


def test_a_state_of_another_shape_is_refused(benchmark):
    source = OWN_ADAMW + '    state["square"] = torch.zeros(3)\n'
    submission = parse("own", source, "own.py")
    with pytest.raises(ConfigError, match=r"puts \(3,\) into state\['square'\]; keep to .*\(1, 15\)"):
        rehearse(submission, only(benchmark, submission)[0])


def test_an_update_that_writes_into_its_gradients_leaves_those_of_matrices(benchmark):
    writing = OWN_MUON.replace("\n\n\ndef update_matrix", "\n    grad.mul_(0)\n\n\ndef update_matrix")
    assert writing != OWN_MUON
    widths = [25, 20, 25]
    assert _first_losses(benchmark, writing, widths) == _first_losses(benchmark, OWN_MUON, widths)


def test_what_a_rule_writes_into_its_hyperparameters_is_forgotten():
    source = OWN_ADAMW + '    hparams["learning_rate"].mul_(0)\n    hparams["beta1"] = grad\n'
    rule = parse("own", source, "own.py").rule
    values = {
        "learning_rate": 0.1,
        "weight_decay": 0.5,
        "beta1": 0.8,
        "beta2": 0.9,
        "epsilon": 1e-8,
        "step": 1,
    }
    hparams = {name: torch.tensor([[float(value)]]) for name, value in values.items()}
    state = {slot: torch.zeros(1, 3) for slot in ("mean", "square", "average")}
    rule.update(torch.ones(1, 3), torch.ones(1, 3), state, hparams)
    assert {name: tensor.item() for name, tensor in hparams.items()} == pytest.approx(values)


def test_lion_is_as_in_its_paper():
    """Chen et al. 2023, algorithm 2, entry by entry with Python's own numbers."""
    rule = read_submission(ROOT / "leaderboard/submissions/lion.py").rule
    values = {"learning_rate": 0.1, "weight_decay": 0.5, "beta1": 0.8, "beta2": 0.9}
    hparams = {name: torch.tensor([[value]], dtype=torch.float64) for name, value in values.items()}
    random = np.random.default_rng(0)
    param = torch.tensor(random.normal(size=(1, 5)))
    state, plain, momentum = {"momentum": torch.zeros_like(param)}, param[0].tolist(), [0.0] * 5
    for _ in range(4):
        grads = random.normal(size=5)
        rule.update(param, torch.tensor(grads[None]), state, hparams)
        for i, grad in enumerate(grads):
            direction = math.copysign(1, 0.8 * momentum[i] + 0.2 * grad)
            plain[i] -= 0.1 * (direction + 0.5 * plain[i])
            momentum[i] = 0.9 * momentum[i] + 0.1 * grad
        np.testing.assert_allclose(param[0], plain, rtol=1e-12)
