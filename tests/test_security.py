"""Rules of SECURITY.md that code can break."""

import ast
import re
import stat

import pytest
from clones import ROOT

from pipelines import check

FILES = [
    file
    for folder in ("src", "pipelines", "benchmarks", "refactoring", "tools")
    for file in sorted((ROOT / folder).rglob("*.py"))
]
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "pd.read_pickle", "pandas.read_pickle"}


def unpickles(source: str) -> list[str]:
    """What in a module can unpickle: modules that do, and readers that would."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLING:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            asks = any(keyword.arg == "allow_pickle" for keyword in node.keywords)  # of numpy.load
            found += [name] if name in CALLS or asks else []
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_unpickles(file):
    assert unpickles(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "x = torch.load(f)", "np.load(f, allow_pickle=True)"],
)
def test_a_planted_pickle_is_found(source):
    assert unpickles(source)


def test_servers_listen_on_this_machine_only():
    for name in ("ui", "dashboard"):
        source = (ROOT / "pipelines" / f"{name}.py").read_text(encoding="utf-8")
        hosts = re.findall(r'"--host", "([^"]+)"', source)
        assert set(hosts) == {"127.0.0.1"}, name
        assert "0.0.0.0" not in source


def test_the_set_up_keeps_dvcs_pickles_in_the_checkout():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "mkdir -p .dvc_site_cache && chmod 700 .dvc_site_cache" in makefile
    assert 'dvc config --local core.site_cache_dir "$(CURDIR)/.dvc_site_cache"' in makefile


def test_the_pickles_are_closed_to_others(tmp_path, monkeypatch):
    cache = check.PRIVATE[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "read_catalogue", lambda: None)
    cache.mkdir()
    cache.chmod(0o777)  # as DVC makes it
    check.main()
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
