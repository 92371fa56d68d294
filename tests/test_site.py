"""The documentation site: its pages, their links, the questions that it answers, and the build."""

import importlib.util
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from clones import ROOT, environment
from site_pages import DOCS, anchors, file_of, links, navigation, section

from tools.site import outside, parameters, text
from tools.site.slugs import slug
from tools.site.types import type_and_rule

NEEDED = ("mkdocs", "material", "mkdocstrings", "latex2mathml")
needs_mkdocs = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED), reason="`make docs` installs it"
)
PAGES = sorted({file_of(name) for name in navigation() if name.endswith(".md")} | {ROOT / "README.md"})
ANSWERS = {  # what a newcomer asks, and words of the answer
    "What is grokking?": "suddenly answers the others",
    "Why 97?": "It is prime",
    "How do I run one network?": "grokking run embedding_mlp",
    "How do I change the weight decay?": "weight_decay=0",
    "Where are the results?": "results/runs/",
    "How do I compare two runs?": "grokking compare",
    "How do I search my own task?": "grokking search",
    "How do I add an operation?": "src/grokking/data/modular.py",
    "What does *generalized* mean exactly?": "98.5 %",
    "How do I read a network's answer?": "grokking predict",
}
FETCHED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")
ANSWERED = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def test_the_navigation_names_files():
    missing = [name for name in navigation() if not file_of(name).exists()]
    assert not missing


def test_every_page_is_in_the_navigation():
    assert {page.name for page in DOCS.glob("*.md")} <= set(navigation())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_of_a_page_resolve(page):
    for link in links(page):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(file), f"{link}: no such heading"


def test_the_questions_of_a_newcomer_are_answered_one_click_from_the_start():
    rows = dict(
        re.findall(r"^\| ([^|]+\?) \| \[[^\]]+\]\(([^)]+)\) \|$", (DOCS / "index.md").read_text(), re.M)
    )
    assert set(rows) == set(ANSWERS)
    for question, link in rows.items():
        page, _, anchor = link.partition("#")
        assert ANSWERS[question] in section(DOCS / page, anchor), question


def test_the_code_of_a_page_prints_what_stands_below_it():
    """The tutorial's needs networks that a reader has trained: test_recipes.py runs it."""
    shown = ANSWERED.findall((DOCS / "grokking.md").read_text())
    assert shown
    for code, printed in shown:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(ROOT)
        )
        assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_the_worked_equation_is_right():
    assert (40 + 80) % 97 == 23
    assert "So $40 + 80 \\equiv 23 \\pmod{97}$" in (DOCS / "grokking.md").read_text()


def test_every_key_of_an_entry_is_in_the_tables():
    page = parameters.with_tables((DOCS / "params.md").read_text())
    for key in (
        "operation",
        "train_fraction",
        "optimizer",
        "weight_decay",
        "hidden_widths",
        "budget",
        "sampler",
    ):
        assert f"| `{key}` |" in page
    assert "decoupled, each step multiplies parameters by 1 - learning_rate * weight_decay" in page
    assert "<!--" not in page


def test_types_are_told_in_words():
    assert type_and_rule(bool) == ("true or false", "")
    assert type_and_rule(tuple[int, ...]) == ("list: whole number", "")


def test_links_that_leave_docs_are_those_of_the_site():
    assert outside.with_links("[a](../reports/x.md#b)", "search.md") == "[a](reports/x.md#b)"
    assert outside.with_links("[a](../docs/data.md)", "reports/x.md") == "[a](../data.md)"
    assert outside.with_links("[a](../notebooks/x.ipynb)", "index.md") == "[a](notebooks/x.md)"
    assert outside.with_links("[a](../src/x.py)", "index.md") == "a"


def test_graphs_become_tables_and_code_stays():
    graph = '```mermaid\nflowchart TD\n\tn1["split"]\n\tn2["train"]\n\tn1-->n2\n```\n'
    assert "| `train` | `split` |" in text.with_graphs(graph)
    assert text.outside_of_code("a <!-- b -->\n```\n<!-- c -->\n```\n", text.without_comments) == (
        "a \n```\n<!-- c -->\n```\n"
    )


def test_anchors_are_those_of_code_hosts():
    assert slug("Look: grokking list, show, compare") == "look-grokking-list-show-compare"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@needs_mkdocs
def test_the_site_is_built_and_has_its_parts(site):
    assert "<math" in (site / "grokking.html").read_text()
    assert "weight_decay" in (site / "params.html").read_text()
    assert "The run of this name" in (site / "python.html").read_text()
    assert "data:image/png" in (site / "notebooks" / "open_a_circuit.html").read_text()
    assert (site / "search" / "search_index.js").exists()  # for file://
    assert (site / "reports" / "index.html").exists()


@needs_mkdocs
def test_the_site_fetches_nothing_from_elsewhere(site):
    pages = [page for page in site.rglob("*.html") if "reports/index" not in str(page)]
    assert len(pages) > 30
    found = {page.name: FETCHED.findall(page.read_text()) for page in pages}
    assert not {name: tags for name, tags in found.items() if tags}


@needs_mkdocs
def test_the_explorer_is_in_the_navigation_where_there_is_one(tmp_path, monkeypatch):
    from tools.site import hooks

    monkeypatch.setattr(outside, "ROOT", tmp_path)
    for expected in ([], [{"Explorer": "reports/explore.html"}]):
        assert hooks.on_config(SimpleNamespace(nav=[], mdx_configs={})).nav == expected
        (tmp_path / "reports").mkdir(exist_ok=True)
        (tmp_path / "reports" / "explore.html").write_text("<p>explorer</p>")
    assert outside.files() == ["reports/explore.html"]
