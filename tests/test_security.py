"""Rules of SECURITY.md that code can break."""

import re
import shutil
import stat
from types import SimpleNamespace

import pytest
from clones import ROOT
from dvc.config import Config

from pipelines import check
from tools import audit, site_cache
from tools.audit import unpickles


@pytest.mark.parametrize("file", audit.own_code(ROOT), ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_unpickles(file):
    assert unpickles(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "x = torch.load(f)", "np.load(f, allow_pickle=True)"],
)
def test_a_planted_pickle_is_found(source):
    assert unpickles(source)


def test_an_environment_inside_a_folder_of_code_is_not_ours(tmp_path):
    for file in ("benchmarks/own.py", "benchmarks/.jax-venv/lib/theirs.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("import pickle")
    assert audit.own_code(tmp_path) == [tmp_path / "benchmarks/own.py"]


def test_servers_listen_on_this_machine_only():
    for name in ("ui", "dashboard"):
        source = (ROOT / "pipelines" / f"{name}.py").read_text(encoding="utf-8")
        hosts = re.findall(r'"--host", "([^"]+)"', source)
        assert set(hosts) == {"127.0.0.1"}, name
        assert "0.0.0.0" not in source


def test_the_set_up_keeps_dvcs_pickles_in_the_checkout(tmp_path, monkeypatch):
    """Also in a folder whose name DVC itself cannot write, and beside settings of the user's."""
    assert "$(VENV)/bin/python -m tools.site_cache" in (ROOT / "Makefile").read_text(encoding="utf-8")
    folder = tmp_path / "ü ber, zwei"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config.local").write_text(
        "[core]\n    no_scm = true\n['remote \"mine\"']\n    url = /x\n"
    )
    monkeypatch.chdir(folder)
    for _ in range(2):
        site_cache.main()
    assert stat.S_IMODE(site_cache.FOLDER.stat().st_mode) == 0o700
    config = Config(dvc_dir=str(folder / ".dvc"))
    assert config["core"]["site_cache_dir"] == str(folder / ".dvc_site_cache")
    assert config["core"]["no_scm"]
    assert config["remote"]["mine"]["url"] == "/x"


def test_the_pickles_are_closed_to_others(tmp_path, monkeypatch):
    cache = check.PRIVATE[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "Checkout", lambda root: SimpleNamespace(catalogue=None))
    cache.mkdir()
    cache.chmod(0o777)  # as DVC makes it
    check.main()
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@pytest.fixture
def checkout(tmp_path):
    """As after the set-up, with little in it."""
    for name in ("dvc.yaml", "extended/dvc.yaml", "pipelines/ui.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in audit.PICKLED:
        (tmp_path / name).mkdir(parents=True, mode=0o700)
    (tmp_path / ".dvc" / "config.local").write_text("[core]\n    site_cache_dir = here\n")
    return tmp_path


def breaches(checkout):
    quick = (audit.open_caches, audit.unpickling, audit.unquoted_names)
    return [line for find in quick for line in find(checkout)]


def test_an_audit_of_a_sound_checkout_finds_nothing(checkout):
    assert breaches(checkout) == []


def test_an_audit_finds_what_others_can_write_to(checkout):
    (checkout / ".dvc_site_cache" / "repo").mkdir(mode=0o777)
    assert breaches(checkout) == []  # its folder is closed
    (checkout / ".dvc_site_cache").chmod(0o777)
    assert "chmod 700 .dvc_site_cache" in breaches(checkout)[0]
    (checkout / ".dvc" / "config.local").unlink()
    assert "system's temporary folder" in breaches(checkout)[0]


def test_an_audit_finds_a_planted_pickle_and_an_unquoted_name(checkout):
    (checkout / "src" / "planted.py").write_text("import pickle\n")
    with (checkout / "dvc.yaml").open("a") as file:
        file.write("    cmd: python -m pipelines.train ${key}\n")
    assert breaches(checkout) == [
        "src/planted.py uses pickle",
        "dvc.yaml: python -m pipelines.train ${key}",
    ]


def test_an_audit_finds_a_port_that_other_machines_reach(checkout):
    """A server on every address in the place of the UI."""
    server = "import os, http.server as h\nh.test(port=int(os.environ['PORT']), bind='0.0.0.0')\n"
    (checkout / "pipelines" / "ui.py").write_text(server)
    assert "listens on 0.0.0.0" in next(audit.open_ports(checkout))
