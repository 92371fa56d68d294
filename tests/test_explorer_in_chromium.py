"""The committed explorer in a browser without a network; skipped where Chromium or Playwright is missing."""

import shutil

import pytest
from test_explorer import ROOT, require_equal_steps

from grokking.explorer import page
from grokking.storage import runs, task_files

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGE = ROOT / "reports" / "explore.html"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
# Letters of each picture as a file; an empty one has a few hundred
DRAWN = """[...document.querySelectorAll("#explored canvas")].filter(canvas => canvas.offsetParent)
  .map(canvas => canvas.toDataURL().length)"""
WHOLE_PIXELS = "at('grid').getBoundingClientRect().width * devicePixelRatio === at('grid').width"
MILLISECONDS = """(() => {
  const times = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(i => {
    const began = performance.now();
    explorer.show(i);
    return performance.now() - began;
  });
  return times.sort((a, b) => a - b)[4];
})()"""


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1400, "light"), (400, "dark")], ids=["wide and light", "narrow and dark"])
def opened(chromium, request):
    """The page, and what its console said."""
    width, scheme = request.param
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    shown, told = context.new_page(), []
    shown.on("console", lambda message: told.append(message.text))
    shown.on("pageerror", lambda error: told.append(str(error)))
    shown.goto(PAGE.as_uri())
    shown.wait_for_function("document.getElementById('story').textContent !== ''")
    yield shown, told
    context.close()


def test_every_experiment_is_drawn_without_an_error(opened):
    shown, told = opened
    for experiment in shown.evaluate("EXPERIMENTS.map((_, i) => i)"):
        shown.select_option("#experiment", str(experiment))
        shown.wait_for_function(f"explorer.replica === EXPERIMENTS[{experiment}].replicas[0]")
        shown.evaluate("explorer.show(explorer.replica.steps.length - 1)")
        assert "It has generalized" in shown.inner_text("#story")
        assert min(shown.evaluate(DRAWN)) > 1500
        assert shown.evaluate(WHOLE_PIXELS)
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert told == []


def test_the_slider_moves_everything(opened):
    shown, told = opened
    shown.focus("#step")
    before = shown.inner_text("#story")
    shown.keyboard.press("End")
    assert shown.inner_text("#story") != before
    last = shown.evaluate("whole(explorer.replica.steps.at(-1))")
    assert shown.inner_text("#shown") == f"step {last}"
    assert shown.evaluate(MILLISECONDS) < 500  # a page that hangs; on an idle core it takes a tenth of that
    assert told == []


def test_the_network_is_asked(opened):
    shown, _ = opened
    shown.evaluate("explorer.show(explorer.replica.steps.length - 1)")
    shown.fill("#a", "40")
    shown.fill("#b", "80")
    assert "answers 23" in shown.inner_text("#answered")
    shown.fill("#b", "97")
    assert "no such pair" in shown.inner_text("#answered")


def test_play_goes_to_the_end_and_pauses(opened):
    shown, _ = opened
    shown.evaluate("explorer.show(explorer.replica.steps.length - 3)")
    shown.click("#play")
    shown.wait_for_function("explorer.index === explorer.replica.steps.length - 1 && !explorer.timer")
    assert shown.inner_text("#play") == "Play"


class Script:
    """A page that evaluates statements and expressions, as MiniRacer does."""

    def __init__(self, shown) -> None:
        self.shown = shown

    def eval(self, text: str):
        if text.startswith("JSON.stringify"):
            return self.shown.evaluate(text)
        return self.shown.add_script_tag(content=text)


def test_ten_steps_in_chromium_are_the_engines(chromium):
    replicas = runs.read(ROOT / "results/confirm/quick/winner").replicas
    shown = chromium.new_page()
    shown.add_script_tag(content=(page.PAGE / "live_network.js").read_text())
    products = list((page.PAGE / page.PRODUCTS).read_bytes())
    shown.add_script_tag(content=f"const products = new WebAssembly.Module(new Uint8Array({products}))")
    task = task_files.read(ROOT / "results/splits" / replicas["task"].iloc[0])
    require_equal_steps(replicas, task, Script(shown))
    shown.close()


def test_a_network_trained_in_the_page_generalizes_on_ten_seeds(chromium):
    shown = chromium.new_page()
    shown.goto(PAGE.as_uri())
    for seed in range(10):
        shown.fill("#seed", str(seed))
        shown.click("#train")
        shown.wait_for_function("live.events[OTHERS] !== null", timeout=120_000)
        assert 20 <= shown.evaluate("live.events[OTHERS]") <= 40
        shown.click("#train")
        assert not shown.evaluate("live.running")
    shown.close()


def test_a_network_without_enough_data_fails_in_the_page(chromium):
    shown = chromium.new_page()
    shown.goto(PAGE.as_uri())
    shown.evaluate("document.getElementById('train_fraction').value = 0.1; live.read()")
    shown.fill("#steps", "60")
    shown.click("#train")
    shown.wait_for_function("!live.running", timeout=120_000)
    assert shown.evaluate("live.events[TRAINING] !== null && live.events[OTHERS] === null")
    shown.close()
