"""Pictures of the MLflow UI and of the explorer for the docs, from a real browser. Run `make ui` beside it.

    pip install playwright && playwright install chromium    # once; neither is in requirements.txt
    PYTHONPATH=src python tools/screenshots.py    # of http://localhost:5000, or of another that is named

CHROMIUM names a browser that is there already.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from grokking.tracking import store, views

IMAGES = Path("docs/images")
WIDTH, HEIGHT, TALL = 1440, 860, 1700  # a comparison has its tables below a chart
SECONDS = 12  # until the charts of a view are drawn
EXPLORER, SHOWN = Path("reports/explore.html"), "wide_mlp"
HALFWAY = "explorer.show(Math.round(0.75 * (explorer.replica.steps.length - 1)))"
# MLflow opens its assistant over a quarter of the page on the first visit
QUIET = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""


def main() -> None:
    server = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:5000"
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox", "--disable-gpu"]
        )
        take_explorer(browser, IMAGES / "explorer.png")
        for name, path in pages().items():
            take(browser, f"{server}{path}", IMAGES / f"mlflow-{name}.png")
        browser.close()


def pages() -> dict[str, str]:
    """Every view, a run and a comparison of two."""
    client = store.connect()
    found = {view.key: views.address(client, view) for view in views.VIEWS}
    first = views.VIEWS[0]
    number = store.experiment_id(client, first.experiment)
    wide, shared = (
        client.search_runs([number], f"{first.where} AND tags.experiment = '{name}'")[0].info.run_id
        for name in ("wide_mlp", "shared_mlp_f30")
    )
    compared = f'/#/compare-runs?runs=["{wide}","{shared}"]&experiments=["{number}"]'
    return found | {"run": f"/#/experiments/{number}/runs/{wide}", "compare": compared}


def take_explorer(browser: Browser, file: Path) -> None:
    """One experiment on its way from memorizing to generalizing."""
    page = browser.new_page(viewport={"width": 1280, "height": 1180})
    page.goto(EXPLORER.resolve().as_uri())
    number = page.evaluate(f"EXPERIMENTS.findIndex(each => each.name === '{SHOWN}')")
    page.select_option("#experiment", str(number))
    page.wait_for_function(f"explorer.experiment && explorer.experiment.name === '{SHOWN}'")
    page.evaluate(HALFWAY)
    page.screenshot(path=file)
    page.close()
    print(f"{file}: {file.stat().st_size // 1000} kB", flush=True)


def take(browser: Browser, url: str, file: Path) -> None:
    height = TALL if "compare-runs" in url else HEIGHT
    page = browser.new_page(viewport={"width": WIDTH, "height": height})
    page.add_init_script(QUIET)
    page.goto(url)
    page.wait_for_timeout(1000 * SECONDS)
    page.screenshot(path=file)
    page.close()
    print(f"{file}: {file.stat().st_size // 1000} kB", flush=True)


if __name__ == "__main__":
    main()
