"""Claims: their sentences stand, they hold of the committed results, each can fail, and stops a stage."""

import copy
import importlib
import json
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from clones import ROOT
from ruamel.yaml import YAML

from grokking.analysis import claims
from grokking.config import ConfigError
from pipelines.common.claims import are_committed, require_claims
from pipelines.common.reports import REPORTS
from pipelines.common.stage import run

CLAIMS = claims.read(ROOT / "reports/claims.yaml")
NUMBERS = {name: json.loads((ROOT / file).read_text()) for name, file in CLAIMS.numbers.items()}
GRAPHS = {
    file: YAML(typ="safe").load((ROOT / file).read_text()) for file in ("dvc.yaml", "extended/dvc.yaml")
}
CHANGES = (
    lambda value: 0,
    lambda value: 10 * value + 1000,
    lambda value: -1,
)  # of a number, to make claims false


def text_of(file: Path) -> str:
    """The words of a page, or of a notebook's cells and what they print."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return " ".join(line for line in text.split() if line != "```")


@pytest.mark.parametrize("name", CLAIMS.claims)
def test_the_sentence_stands_in_its_file(name):
    claim = CLAIMS.claims[name]
    assert " ".join(claim.says.split()) in text_of(ROOT / claim.where)


@pytest.mark.parametrize("name", CLAIMS.claims)
def test_it_holds_of_the_committed_results_to_the_last_digit(name, monkeypatch):
    monkeypatch.setattr(claims, "NEAR", 0)
    alone = claims.Claims(CLAIMS.numbers, {name: CLAIMS.claims[name]})
    claims.require(alone, NUMBERS, NUMBERS)


@pytest.mark.parametrize("name", CLAIMS.claims)
def test_other_numbers_make_it_false(name):
    """Numbers under one key, or one entry more or less: some such change must be enough, and be no error."""
    used = {key: NUMBERS[key] for key in CLAIMS.used(name)}
    alone = claims.Claims(CLAIMS.numbers, {name: CLAIMS.claims[name]})
    for changed in changed_numbers(used):
        try:
            claims.require(alone, changed, changed)
        except ConfigError as error:
            if "is false with" in str(error):
                return
    raise AssertionError(f"no change of {', '.join(used)} makes `{name}` false")


def changed_numbers(numbers):
    for key in sorted(keys_of(numbers)):
        for change in CHANGES:
            yield with_key(numbers, key, change)
    for name in numbers:
        fewer = copy.deepcopy(numbers)
        fewer[name].pop(next(iter(fewer[name])))
        yield fewer
    for name, found in numbers.items():
        for key, rows in found.items():
            if isinstance(rows, list):
                yield numbers | {name: found | {key: rows[:1]}}


def keys_of(content):
    if isinstance(content, list):
        return set().union(*map(keys_of, content))
    if not isinstance(content, dict):
        return set()
    own = {key for key, value in content.items() if isinstance(value, int | float | None)}
    return own.union(*map(keys_of, content.values()))


def with_key(content, key, change):
    """A copy in which every number under the key is changed; null becomes a number, too."""
    if isinstance(content, list):
        return [with_key(value, key, change) for value in content]
    if not isinstance(content, dict):
        return content
    return {
        name: change(value or 0)
        if name == key and isinstance(value, int | float | None)
        else with_key(value, key, change)
        for name, value in content.items()
    }


def stages_of(file: str) -> list[tuple[str, dict]]:
    """The stages that write a file of reports/."""
    found = []
    for graph in GRAPHS.values():
        for name, stage in graph["stages"].items():
            body = stage.get("do", stage)
            written = [next(iter(out)) for kind in ("outs", "metrics") for out in body.get(kind, [])]
            patterns = [out.replace("${key}", "*").replace("${item}", "*") for out in written]
            if any(fnmatchcase(file, pattern) for pattern in patterns):
                found.append((name, body))
    return found


@pytest.mark.parametrize("file", CLAIMS.numbers.values())
def test_every_stage_that_writes_its_numbers_depends_on_the_claims(file):
    assert stages_of(file)
    for name, stage in stages_of(file):
        assert "reports/claims.yaml" in stage["deps"], name
        assert "require_claims(" in (ROOT / "pipelines" / f"{name}.py").read_text(), name


# a laboratory with the committed results

BROKEN = """
numbers: {results: reports/results.json, fractions: reports/extended/fractions.json}
claims:
  six_seeds:
    where: README.md
    says: every main experiment groks
      on six seeds
    holds: all(e.n == 6 for e in results.experiments.values() if e.role == 'reproduction')
"""
OF_FRACTIONS = BROKEN.replace(
    "all(e.n == 6 for e in results.experiments.values() if e.role == 'reproduction')",
    "near(fractions.shared_mlp_f25.median_step, 1000)",
)


@pytest.fixture
def laboratory(tmp_path, monkeypatch):
    for name in ("results", "params.yaml", "extended", "requirements.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(
        ROOT / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("explore*", "search")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.common.claims.are_committed", lambda: True)
    return tmp_path


def fails(capsys, stage: str, *arguments: str) -> str:
    """The line with which a stage ends."""
    main = importlib.import_module(f"pipelines.{stage}").main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [stage, *arguments])
        with pytest.raises(SystemExit) as stopped:
            run(main)
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize(
    ("text", "stage", "values"),
    [
        (
            BROKEN,
            ["report"],
            "[e.n for e in results.experiments.values() if e.role == 'reproduction'] = [5, 5, 5, 5, 5]",
        ),
        (OF_FRACTIONS, ["compare", "fractions"], "fractions.shared_mlp_f25.median_step = 942.0"),
    ],
)
def test_a_claim_that_does_not_hold_stops_the_stage_and_leaves_the_reports(
    laboratory, capsys, text, stage, values
):
    Path("reports/claims.yaml").write_text(text)
    before = contents(laboratory / "reports")
    told = fails(capsys, *stage)
    for part in ("claim `six_seeds`", "README.md says “every main experiment groks on six seeds”", values):
        assert part in told
    assert contents(laboratory / "reports") == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("fractions.shared", "fractoins.shared", "names no numbers; known: results, fractions"),
        (", 1000", ", thousand", "cannot be evaluated: 'thousand' is not defined"),
        ("median_step", "median", "cannot be evaluated: Attribute 'median' does not exist"),
        ("1000)", "1000", "claims.six_seeds.holds` must be one expression"),
        ("    where: README.md\n", "", "claims.six_seeds.where` is missing"),
        ("    where:", "    file: a\n    where:", "six_seeds.file` is unknown; known keys here: where, says"),
        ("claims:", "claims: [", "cannot read reports/claims.yaml"),
        ("numbers:", "number:", "numbers` is missing"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_claim_is_one_line(laboratory, capsys, old, new, told):
    Path("reports/claims.yaml").write_text(OF_FRACTIONS.replace(old, new))
    assert told in fails(capsys, "compare", "fractions")


def claim(holds: str) -> claims.Claims:
    numbers = {"one": "one.json", "two": "two.json"}
    return claims.Claims(numbers, {"a": claims.Claim("README.md", "a sentence", holds)})


def test_it_is_checked_by_whoever_writes_one_of_its_files():
    about_two, numbers = claim("one.n == two.n"), {"one": {"n": 1}, "two": {"n": 2}}
    for new in ("one", "two"):
        with pytest.raises(ConfigError, match=r"one\.n = 1, two\.n = 2"):
            claims.require(about_two, numbers, [new])
    claims.require(about_two, numbers, [])


def test_the_values_of_lengths_and_loops_are_told():
    numbers = {"one": {"a": {"n": 1}, "b": {"n": 2}}}
    with pytest.raises(
        ConfigError, match=r"is false with len\(one\) = 2, \[e\.n for e in one\.values\(\)\] = \[1, 2\]"
    ):
        claims.require(claim("len(one) == 3 or all(e.n == 1 for e in one.values())"), numbers, ["one"])


def test_it_waits_for_a_file_that_is_missing():
    claims.require(claim("one.n == two.n"), {"one": {"n": 1}}, ["one"])


@pytest.mark.parametrize(
    "holds", ["open('x') or one", "one.__class__", "[].append.__self__ or one", "(lambda: one)()"]
)
def test_an_expression_reaches_nothing_but_the_numbers(holds):
    with pytest.raises(ConfigError, match="cannot be evaluated"):
        claims.require(claim(holds), {"one": {"n": 1}}, ["one"])


def test_near_is_within_five_percent_and_not_missing():
    assert claims.near(105, 100)
    assert not claims.near(106, 100)
    assert not claims.near(None, 100)


def test_results_of_ones_own_get_a_warning(laboratory, monkeypatch, capsys):
    """Another processor rounds differently, and parameters are there to be changed."""
    monkeypatch.setattr("pipelines.common.claims.are_committed", lambda: False)
    file = laboratory / "reports" / "claims.yaml"
    file.write_text(file.read_text().replace("wide_mlp.median_memorization_step, 23", "wide_mlp.n, 23"))
    require_claims({REPORTS / "results.json": (laboratory / "reports" / "results.json").read_text()})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: claim `memorizes_after_23` does not hold: README.md says")


def test_git_says_whether_results_are_the_committed_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not are_committed()  # a copy without git cannot say
    (tmp_path / "params.yaml").write_text("a: 1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], check=True)
    assert are_committed()
    (tmp_path / "params.yaml").write_text("a: 2\n")
    assert not are_committed()
