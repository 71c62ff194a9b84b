"""How fast the studio's page is: presses, sliders and drags seen in a real browser, and its films.

A real server with the embedded network, driven by a real browser. A picture counts when the
browser has shown it: pictures drawn between two of its refreshes count once.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.browser import ARGUMENTS, CHROMIUM, PAGE_MS, PREPARING_MS, studio
from benchmarks.section import Cell, Options, Section, SectionSkipped, Table
from benchmarks.timing import quartiles, seconds_text
from pipeline.jobs.demo import write_demo
from pipeline.jobs.film import HOLD_FRAMES

REPETITIONS, QUICK_REPETITIONS = 5, 3
SETTLING_MS = 500
"""The last picture may come a little after the drag has ended."""

MOVE = ((0.5, 0.62), (0.66, 0.56))
"""From the nose to the right and up, in shares of the face's width: a drag of many steps."""

ASIDE = 0.3
"""Pixels of the face by which the target of a drag lies above that of the one before."""

LARGE_SIDE = 2048
"""Pixels to which the portrait is enlarged: from there a film has its full 720 pixels."""

WORDS = {
    "opened_to_first_press_s": "photo chosen to the face ready to be pressed",
    "press_to_moved_picture_s": "first press to first moved picture",
    "slider_to_moved_picture_s": "slider moved to first moved picture",
    "slider_pictures_per_second": "pictures a second while a slider moves",
    "click_to_first_frame_after_start_s": "first Start after the studio's: to first picture",
    "click_to_first_frame_s": "Start to first picture of the network",
    "frames_per_second": "pictures a second while it moves",
    "steps_per_second": "steps a second",
    "film_frames_per_second": "moving frames of a film made a second",
}

BEFORE = {"frames_per_second": "13", "click_to_first_frame_s": "460 to 620 ms"}
"""The page of the first version, which showed the network's picture of 128 pixels alone."""

GOALS = {
    "press_to_moved_picture_s": "under 100 ms",
    "slider_pictures_per_second": "at least 20",
    "film_frames_per_second": "at least 10",
}

SLIDING_MS = 3000
SLIDE = """async (milliseconds) => {
  const slider = document.querySelector("#control-smile");
  window.seen.moves.clear();
  const start = performance.now();
  let now = start;
  while (now - start < milliseconds) {
    slider.value = 0.4 * Math.sin((now - start) / 300);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    now = await new Promise(requestAnimationFrame);
  }
  return (window.seen.moves.size * 1000) / (now - start);
}"""
"""Moves a slider to and fro, as fast as the screen; gives pictures a second."""

WATCH = Path(__file__).with_name("studio_watch.js").read_text(encoding="utf-8")
"""Lets a page take note of when it was asked for something, and of when it showed it."""


@contextmanager
def opened_page(address: str) -> Iterator[Any]:
    """Open a page that takes note of what it shows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="en")
        page.set_default_timeout(PAGE_MS)
        page.add_init_script(WATCH)
        page.goto(address)
        yield page
        browser.close()


def prepare(page: Any, photo: Path) -> str:
    """Take a photo as far as points can be set, and return the workspace's name."""
    page.locator(".drop").wait_for()
    page.set_input_files("#file", str(photo))
    page.wait_for_url("**#*")
    page.wait_for_function("() => window.seen.face > 0", timeout=PREPARING_MS)
    return str(page.evaluate("() => decodeURIComponent(location.hash.slice(1))"))


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


def enlarged(folder: Path, number: int) -> Path:
    """Write the portrait as large as a film needs it; each number is a photo of its own."""
    from PIL import Image

    portrait, _ = write_demo(folder)
    path = folder / f"large-{number}.jpg"
    with Image.open(portrait) as image:
        large = image.convert("RGB").resize((LARGE_SIDE, LARGE_SIDE), Image.Resampling.LANCZOS)
    large.save(path, quality=90 + number)
    return path


def opened_to_first_press(page: Any, home: str, photo: Path) -> float:
    """Return the seconds from a photo's choice until its face can be pressed."""
    page.goto(home)
    prepare(page, photo)
    times = page.evaluate("() => [window.seen.chosen, window.seen.face]")
    return float(times[1] - times[0]) / 1000


def first_moved(page: Any) -> float:
    """Return the seconds from what a person began to the first picture that it moved."""
    page.wait_for_function("() => window.seen.moved !== null")
    times = page.evaluate("() => [window.seen.began, window.seen.moved]")
    return float(times[1] - times[0]) / 1000


def one_press(page: Any, name: str) -> float:
    """Press on the face and pull, and take it back; returns how soon the photo moved."""
    viewport = page.locator(".viewport")
    a, b, c, d, e, f = (float(v) for v in viewport.get_attribute("data-face").split())
    box = viewport.bounding_box()
    size = ask(page, "GET", name, "")["face"]["width"]
    x, y = (share * size for share in MOVE[0])
    place = box["x"] + a * x + c * y + e, box["y"] + b * x + d * y + f
    page.mouse.move(*place)
    page.mouse.down()
    page.mouse.move(place[0] + 30, place[1] - 10)
    seconds = first_moved(page)
    page.keyboard.press("Escape")
    page.mouse.up()
    return seconds


def one_slide(page: Any) -> dict[str, float]:
    """Move a slider by a key, then to and fro, and all back.

    Returns how soon the photo moved, and how many pictures a second it showed.
    """
    page.locator("#control-smile:not(:disabled)").focus()
    page.keyboard.press("PageUp")
    seconds = first_moved(page)
    pictures = page.evaluate(SLIDE, SLIDING_MS)
    page.get_by_role("button", name="All to the middle").click()
    page.wait_for_timeout(SETTLING_MS)
    return {"slider_to_moved_picture_s": seconds, "slider_pictures_per_second": float(pictures)}


def one_drag(page: Any, name: str, number: int) -> dict[str, float]:
    """Drag once from the photo as it was, by a click on Start.

    Each number goes somewhere else: a drag that has been done before is not done again.
    """
    ask(page, "POST", name, "/reset")
    size = ask(page, "GET", name, "")["face"]["width"]
    handle, target = ([share * size - 0.5 for share in xy] for xy in MOVE)
    target[1] -= number * ASIDE
    points = {"points": [{"handle": handle, "target": target}]}
    ask(page, "PUT", name, "/points", points)
    page.wait_for_function("() => document.querySelector('.controls .primary:enabled')")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator(".status[data-tone=strong]").wait_for()
    page.wait_for_timeout(SETTLING_MS)
    seen = page.evaluate("() => window.seen")
    moved = [frame for frame in seen["frames"] if frame["step"] >= 1]
    times = sorted({frame["time"] for frame in moved})
    if not times:
        raise RuntimeError("the drag ended before a picture of it was shown")
    measured = {"click_to_first_frame_s": (times[0] - seen["click"]) / 1000}
    if len(times) > 1:  # a rate needs two pictures
        seconds = (times[-1] - times[0]) / 1000
        measured["frames_per_second"] = (len(times) - 1) / seconds
        measured["steps_per_second"] = (moved[-1]["step"] - moved[0]["step"]) / seconds
    return measured


def one_film(page: Any, name: str) -> dict[str, float]:
    """Let the film of the present drag be made, and count its frames that move.

    The still ones at either end cost next to nothing.
    """
    import av

    begun = time.perf_counter()
    answer = page.request.get(
        page.evaluate(
            "(name) => `${location.origin}/api/workspaces/${name}/save/animation?format=mp4`", name
        ),
        timeout=PAGE_MS,
    )
    seconds = time.perf_counter() - begun
    if not answer.ok:
        raise RuntimeError(answer.text())
    with tempfile.TemporaryDirectory(prefix="realdrag-") as place:
        path = Path(place) / "film.mp4"
        path.write_bytes(answer.body())
        with av.open(str(path)) as film:
            stream = film.streams.video[0]
            frames = stream.frames - 2 * HOLD_FRAMES
            side = max(stream.width, stream.height)
    return {"film_frames_per_second": frames / seconds, "film_side": side, "film_frames": frames}


def measure(repetitions: int) -> dict[str, list[float]]:
    """Return every figure, by the keys of `WORDS`, as often as it was taken."""
    found: dict[str, list[float]] = {}

    def add(measured: dict[str, float]) -> None:
        for key, value in measured.items():
            found.setdefault(key, []).append(round(value, 4))

    with tempfile.TemporaryDirectory(prefix="realdrag-") as place:
        folder = Path(place)
        portrait, _ = write_demo(folder / "photo")
        with studio(folder) as address, opened_page(address) as page:
            name = prepare(page, portrait)
        # A studio that has just been started still has to load torch and the network.
        with studio(folder) as address, opened_page(address) as page:
            home = address.split("?")[0]
            page.goto(f"{home}#{name}")
            page.locator(".viewport").wait_for()
            cold = one_drag(page, name, 0)
            add({"click_to_first_frame_after_start_s": cold["click_to_first_frame_s"]})
            for number in range(1, repetitions + 1):
                add(one_drag(page, name, number))
            for number in range(repetitions):
                photo = enlarged(folder / "photo", number)
                add({"opened_to_first_press_s": opened_to_first_press(page, home, photo)})
                large = str(page.evaluate("() => decodeURIComponent(location.hash.slice(1))"))
                add(one_slide(page))
                add({"press_to_moved_picture_s": one_press(page, large)})
                one_drag(page, large, 0)
                add(one_film(page, large))
    return found


def run(options: Options) -> Section:
    """Time the page. Raises SectionSkipped without a browser."""
    if not Path(CHROMIUM).exists():
        raise SectionSkipped("there is no Chromium here")
    try:
        import playwright  # noqa: F401
    except ImportError:
        raise SectionSkipped("there is no playwright here to drive a browser") from None
    repetitions = options.number(QUICK_REPETITIONS, REPETITIONS)
    found = measure(repetitions)
    side = statistics.median(found["film_side"])
    text = (
        "NASA's portrait of Eileen Collins, embedded network, all settings at their defaults; "
        "Chromium without a GPU, 1280 x 800. Times end with the refresh of the screen that shows "
        "the picture. Start, pictures and steps are of a drag of one point on the portrait (512 "
        f"pixels), all else on the portrait enlarged to {LARGE_SIDE} pixels; its films are MP4, "
        f"{side:.0f} pixels. The first moved picture is the page's own preview, those of the "
        "network follow Start. Medians [quartiles]. *Before*: the page as it was first measured, "
        "which showed the picture of a network of 128 pixels instead of the photo.",
    )
    return Section("studio_speed", "Speed: the studio", text, (studio_table(found),), (), found)


def studio_table(found: dict[str, list[float]]) -> Table:
    """Put medians beside the old figures and the goals."""
    rows: list[tuple[Cell, ...]] = []
    for key, words in WORDS.items():
        if key not in found:
            continue
        values = found[key]
        shown = str(quartiles(values))
        if not key.endswith("_s"):
            shown = f"{statistics.median(values):.1f}"
        elif len(values) == 1:
            shown = f"{seconds_text(values[0])} (n = 1)"
        rows.append((words, shown, BEFORE.get(key, "-"), GOALS.get(key, "-")))
    return Table("The page in a browser", ("what", "measured", "before", "goal"), tuple(rows))


if __name__ == "__main__":
    from benchmarks.__main__ import main

    sys.exit(main(["studio_speed", *sys.argv[1:]]))
