"""How long the explorer takes in a browser: to move its slider, and to train a network to 99 % of all others.

    pip install playwright && CHROMIUM=/usr/bin/chromium python -m benchmarks.explorer

CHROMIUM names a browser that is there already; `playwright install chromium` fetches one.
"""

import os
import statistics
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from grokking.storage.machine import machine

PAGE = Path("reports/explore.html")
SEEDS, ROUNDS = 10, 5
SLIDE = "(i => { const began = performance.now(); explorer.show(i); return performance.now() - began; })"


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"]
        )
        shown = browser.new_page(viewport={"width": 1400, "height": 900})
        shown.goto(PAGE.resolve().as_uri())
        shown.wait_for_function("explorer.replica")
        slides, trained = slide_milliseconds(shown), [train(shown, seed) for seed in range(SEEDS)]
        browser.close()
    print(f"{machine()['processor']}, headless Chromium")
    print(f"slider: {statistics.median(slides):.0f} ms, at most {max(slides):.0f} ms")
    steps, seconds = zip(*trained, strict=True)
    print(f"99 % of all others on {len(steps)} of {SEEDS} seeds: step {min(steps)} to {max(steps)}")
    print(f"seconds: median {statistics.median(seconds):.1f}, at most {max(seconds):.1f}")


def slide_milliseconds(shown: Page) -> list[float]:
    """Of every snapshot of the first network, several times."""
    count = shown.evaluate("explorer.replica.steps.length")
    return [shown.evaluate(f"{SLIDE}({i})") for _ in range(ROUNDS) for i in range(count)]


def train(shown: Page, seed: int) -> tuple[int, float]:
    """Step and seconds at which a network trained in the page is right on 99 % of all others."""
    shown.fill("#seed", str(seed))
    shown.click("#train")
    shown.wait_for_function("live.events[OTHERS] !== null", timeout=120_000)
    found = shown.evaluate("[live.events[OTHERS], Number(live.took)]")
    shown.click("#train")
    return found[0], found[1]


if __name__ == "__main__":
    main()
