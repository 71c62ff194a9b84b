"""How fast the studio's page is: pictures a second while dragging, and how soon the first comes.

A real server with the embedded network, driven by a real browser. A picture counts when the
browser has shown it: pictures drawn between two of its refreshes count once.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.browser import ARGUMENTS, CHROMIUM, PAGE_MS, PREPARING_MS, studio
from pipeline.jobs.demo import write_demo

REPETITIONS = 5
SETTLING_MS = 500
"""The last picture may come a little after the drag has ended."""

MOVE = ((0.5, 0.62), (0.66, 0.56))
"""From the nose to the right and up, in shares of the face's width: a drag of many steps."""

ASIDE = 0.3
"""Pixels of the face by which the target of a drag lies above that of the one before."""

WATCH = """
() => {
  const seen = (window.seen = { click: null, heads: [], frames: [] });
  document.addEventListener("click", (event) => {
    if (event.target.closest("button.primary")) {
      Object.assign(seen, { click: event.timeStamp, heads: [], frames: [] });
    }
  }, true);
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string") return;
        const length = new DataView(data).getUint32(0);
        const text = new TextDecoder().decode(new Uint8Array(data, 4, length));
        seen.heads.push(JSON.parse(text));
      });
    }
    send(data) {
      super.send(data);
      if (!data.includes('"drawn"')) return;
      const head = seen.heads.shift();
      if (!head || head.stage !== "drag") return;
      requestAnimationFrame((time) => seen.frames.push({ time, step: head.step }));
    }
  };
}
"""


@contextmanager
def opened_page(address: str) -> Iterator[Any]:
    """Open a page that takes note of what it shows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PAGE_MS)
        page.add_init_script(f"({WATCH})()")
        page.goto(address)
        yield page
        browser.close()


def prepare(page: Any, photo: Path) -> str:
    """Take a photo as far as points can be set, and return the workspace's name."""
    page.set_input_files("#file", str(photo))
    page.wait_for_url("**#*")
    name = str(page.evaluate("() => decodeURIComponent(location.hash.slice(1))"))
    page.wait_for_function(
        "() => document.querySelector('.viewport')?.dataset.face", timeout=PREPARING_MS
    )
    return name


def ask(page: Any, method: str, name: str, path: str, body: Any = None) -> Any:
    """Ask the studio something, as the page does."""
    return page.evaluate(
        """async ([method, address, body]) => {
          const answer = await fetch(address, { method, body: body && JSON.stringify(body),
            headers: { "Content-Type": "application/json" } });
          if (!answer.ok) throw new Error(await answer.text());
          return answer.json();
        }""",
        [method, f"/api/workspaces/{name}{path}", body],
    )


def one_drag(page: Any, name: str, number: int) -> dict[str, float]:
    """Drag once from the tuned picture, by a click on Start.

    Each number goes somewhere else: a drag that has been done before is not done again.
    """
    ask(page, "POST", name, "/reset")
    size = ask(page, "GET", name, "")["face"]["width"]
    handle, target = ([share * size - 0.5 for share in xy] for xy in MOVE)
    target[1] -= number * ASIDE
    points = {"points": [{"handle": handle, "target": target}]}
    ask(page, "PUT", name, "/points", points)
    page.wait_for_function("() => !document.querySelector('.controls .primary').disabled")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator(".status[data-tone=strong]").wait_for()
    page.wait_for_timeout(SETTLING_MS)
    seen = page.evaluate("() => window.seen")
    moved = [frame for frame in seen["frames"] if frame["step"] >= 1]
    times = sorted({frame["time"] for frame in moved})
    if not times:
        raise RuntimeError("the drag ended before a picture of it was shown")
    first = (times[0] - seen["click"]) / 1000
    measured = {"click_to_first_frame_s": first, "frames": len(times)}
    if len(times) > 1:  # a rate needs two pictures
        seconds = (times[-1] - times[0]) / 1000
        measured["frames_per_second"] = (len(times) - 1) / seconds
        measured["steps_per_second"] = (moved[-1]["step"] - moved[0]["step"]) / seconds
    return measured


def measure(repetitions: int = REPETITIONS) -> dict[str, Any]:
    """Return medians over some drags; the first drag of a started studio is told apart.

    It still has to load torch and the network, which the others find there.
    """
    with tempfile.TemporaryDirectory(prefix="realdrag-") as place:
        photo, _ = write_demo(Path(place) / "photo")
        with studio(Path(place)) as address, opened_page(address) as page:
            name = prepare(page, photo)
        with studio(Path(place)) as address, opened_page(address) as page:
            page.goto(f"{address.split('?')[0]}#{name}")
            page.locator(".viewport").wait_for()
            cold = one_drag(page, name, 0)
            drags = [one_drag(page, name, number) for number in range(1, repetitions + 1)]
    keys = {key for drag in drags for key in drag}
    medians = {
        key: statistics.median(drag[key] for drag in drags if key in drag) for key in sorted(keys)
    }
    return {
        **{key: round(value, 3) for key, value in medians.items()},
        "click_to_first_frame_after_start_s": round(cold["click_to_first_frame_s"], 3),
        "repetitions": repetitions,
        "drags": [{key: round(value, 3) for key, value in drag.items()} for drag in drags],
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
