"""Take the pictures of the studio: two for README, or every state to look at.

Drives the real studio, with the embedded network and NASA's portrait of Eileen Collins, in a
browser. Run it again when the network or the page has changed.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.browser import ARGUMENTS, CHROMIUM, PAGE_MS, PREPARING_MS, studio

EXAMPLES = Path(__file__).parents[1] / "examples"

MOST_BYTES = 250_000
"""A picture of README is compressed until it is smaller."""

MOVES = (((0.387, 0.705), (0.372, 0.698)), ((0.617, 0.705), (0.632, 0.698)))
"""Where points are pressed and where they are dragged to, in shares of the face's width."""


@dataclass(frozen=True)
class Look:
    """A window: its size, its colours, and how much finer than CSS pixels it is drawn."""

    name: str
    width: int
    height: int
    dark: bool
    touch: bool = False


LOOKS = (
    Look("desktop-light", 1280, 800, dark=False),
    Look("desktop-dark", 1280, 800, dark=True),
    Look("phone-light", 390, 844, dark=False, touch=True),
    Look("phone-dark", 390, 844, dark=True, touch=True),
)

README_SCALE = 1.5

README = {"desktop-light": "studio.jpg", "phone-dark": "studio-phone.jpg"}
"""The looks that README shows, and the files that they become."""


DONE = ".status[data-tone=strong]"
"""What is there when a drag has ended."""


@contextmanager
def windows(looks: Sequence[Look], scale: float) -> Iterator[dict[str, Any]]:
    """Open a window for every look, by its name."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, "--hide-scrollbars"]
        )
        pages = {}
        for look in looks:
            context = browser.new_context(
                viewport={"width": look.width, "height": look.height},
                color_scheme="dark" if look.dark else "light",
                device_scale_factor=scale,
                has_touch=look.touch,
            )
            context.set_default_timeout(PAGE_MS)
            pages[look.name] = context.new_page()
        yield pages
        browser.close()


def on_face(page: Any, place: tuple[float, float]) -> tuple[float, float]:
    """Return where a place of the face, in shares of its width, is on the screen."""
    page.wait_for_function("() => document.querySelector('.viewport')?.dataset.face")
    viewport = page.locator(".viewport")
    a, b, c, d, e, f = (float(v) for v in viewport.get_attribute("data-face").split())
    box, size = viewport.bounding_box(), state_of(page)["face"]["width"]
    x, y = (share * size - 0.5 for share in place)
    return box["x"] + a * x + c * y + e, box["y"] + b * x + d * y + f


def state_of(page: Any) -> Any:
    """Ask the studio how the photo is that a page shows."""
    return page.evaluate(
        """async () => {
          const answer = await fetch(`/api/workspaces/${location.hash.slice(1)}`);
          return answer.json();
        }"""
    )


def settled(page: Any) -> None:
    """Wait until a photo is ready and nothing goes on there."""
    end = time.monotonic() + PREPARING_MS / 1000
    while not (state := state_of(page))["ready"] or state["jobs"]:
        if time.monotonic() > end:
            raise TimeoutError(f"{state['name']} is not ready: {state['jobs']}")
        page.wait_for_timeout(200)


def move(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press at a place of the face, and let go at another."""
    page.mouse.move(*on_face(page, start))
    page.mouse.down()
    page.mouse.move(*on_face(page, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)), steps=4)
    page.mouse.move(*on_face(page, end), steps=4)
    page.mouse.up()


def press(page: Any, label: str) -> None:
    """Press a button."""
    page.get_by_role("button", name=label, exact=True).click()


class Album:
    """Takes the picture of a state in every window."""

    def __init__(self, folder: Path, pages: dict[str, Any]) -> None:
        self.folder = folder
        self.pages = pages

    @property
    def first(self) -> Any:
        """The window in which things are done; the others show the same."""
        return next(iter(self.pages.values()))

    def take(self, state: str, sign: str | None = None) -> None:
        """Take a state, once something can be seen in the window."""
        for name, page in self.pages.items():
            if sign is not None:
                page.locator(sign).first.wait_for()
            page.wait_for_timeout(300)
            page.screenshot(path=self.folder / f"{state}-{name}.png")

    def everywhere(self, action: Any) -> None:
        """Do something in every window."""
        for page in self.pages.values():
            action(page)


def every_state(folder: Path, photos: Path) -> None:
    """Take every state that a person can see, in every look."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    portrait, cat = photos / "Eileen-Collins.png", photos / "Chelsea.png"
    Image.fromarray(data.astronaut()).save(portrait)
    Image.fromarray(data.chelsea()).save(cat)
    with studio(photos) as address, windows(LOOKS, 1) as pages:
        take_states(Album(folder, pages), address, portrait, cat)


def take_states(album: Album, address: str, portrait: Path, cat: Path) -> None:
    """Go through the studio from the first page to an error."""
    page = album.first
    home = address.split("?")[0]
    album.everywhere(lambda each: each.goto(address))
    album.take("01-welcome", ".drop-words")

    page.set_input_files("#file", str(cat))
    page.wait_for_url("**#*")
    album.everywhere(lambda each: each.goto(page.url))
    album.everywhere(lambda each: each.get_by_text("No face was found").first.wait_for())
    album.take("02-no-face")
    album.everywhere(lambda each: press(each, "Mark eyes and mouth"))
    for each in album.pages.values():
        box = each.locator(".viewport").bounding_box()
        for u in (0.42, 0.55):
            each.mouse.click(box["x"] + u * box["width"], box["y"] + 0.4 * box["height"])
    album.take("03-marking", ".mark-dot")

    page.goto(home)
    page.set_input_files("#file", str(portrait))
    page.wait_for_url("**#*")
    album.everywhere(lambda each: each.goto(page.url))
    album.take("04-opened", ".viewport")
    settled(page)
    ask(page, "reset")
    album.everywhere(lambda each: each.reload())
    album.everywhere(lambda each: on_face(each, (0.5, 0.5)))
    album.take("05-no-points")

    page.get_by_label("Smile", exact=True).fill("0.6")
    album.take("06-smile", ".chip.preview")
    press(page, "All to the middle")
    set_points(page)
    album.take("07-points", ".spot.handle")
    album.everywhere(lambda each: press(each, "Area"))
    move(page, (0.3, 0.72), (0.7, 0.72))
    album.take("08-area", ".chip.may")
    album.everywhere(lambda each: press(each, "Points"))

    press(page, "Start")
    page.get_by_text("px to go").first.wait_for()
    album.take("09-dragging")
    album.everywhere(lambda each: each.locator(DONE).wait_for(timeout=PREPARING_MS))
    album.take("10-done")
    album.everywhere(lambda each: press(each, "Compare"))
    album.take("11-compare", ".thumb")
    album.everywhere(lambda each: press(each, "Compare"))
    album.everywhere(lambda each: press(each, "Network’s picture"))
    album.take("12-network")
    album.everywhere(lambda each: press(each, "Network’s picture"))
    album.everywhere(lambda each: each.locator("[data-about=save]").scroll_into_view_if_needed())
    album.take("13-save")
    album.everywhere(lambda each: each.keyboard.press("?"))
    album.take("14-keys", "dialog[open]")
    album.everywhere(lambda each: each.keyboard.press("Escape"))
    album.everywhere(lambda each: press(each, "Settings"))
    album.take("15-settings", "dialog[open]")
    album.everywhere(lambda each: each.keyboard.press("Escape"))

    album.everywhere(lambda each: each.goto(home))
    album.take("16-home", ".photo-card")
    for each in album.pages.values():
        each.set_input_files(
            "#file", {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear aunt"}
        )
    album.take("17-error", ".toast.error")


def ask(page: Any, what: str, body: Any = None) -> None:
    """Ask the studio something about the photo that a window shows, as the page does."""
    page.evaluate(
        """async ([what, body]) => {
          const answer = await fetch(`/api/workspaces/${location.hash.slice(1)}/${what}`, {
            method: body === null ? "POST" : "PUT", body: body && JSON.stringify(body),
            headers: { "Content-Type": "application/json" } });
          if (!answer.ok) throw new Error(await answer.text());
        }""",
        [what, body],
    )


def set_points(page: Any) -> None:
    """Set the points of `MOVES`."""
    for number, (start, end) in enumerate(MOVES, start=1):
        move(page, start, end)
        page.locator(".spot.handle").nth(number - 1).wait_for()
    page.wait_for_function(
        "count => document.querySelectorAll('.points-list li').length === count", arg=len(MOVES)
    )


def for_readme(photos: Path) -> None:
    """Take README's two pictures: a dragged face with its points, on a desktop and on a phone."""
    from skimage import data

    portrait = photos / "eileen-collins.png"
    Image.fromarray(data.astronaut()).save(portrait)
    looks = [look for look in LOOKS if look.name in README]
    with studio(photos) as address, windows(looks, README_SCALE) as pages:
        album = Album(photos, pages)
        page = album.first
        album.everywhere(lambda each: each.goto(address))
        page.set_input_files("#file", str(portrait))
        page.wait_for_url("**#*")
        page.locator(".viewport").wait_for()
        settled(page)
        ask(page, "reset")
        page.reload()
        set_points(page)
        press(page, "Start")
        page.locator(DONE).wait_for(timeout=PREPARING_MS)
        phone = list(pages.values())[-1]
        phone.goto(page.url)
        phone.locator(DONE).wait_for()
        press(phone, "Compare")
        for name, file in README.items():
            pages[name].wait_for_timeout(500)
            keep_small(pages[name].screenshot(), EXAMPLES / file)


def keep_small(png: bytes, path: Path) -> None:
    """Write a picture as JPEG, as good as `MOST_BYTES` allow."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in range(92, 40, -4):
        image.save(path, quality=quality, subsampling=0, optimize=True)
        if path.stat().st_size < MOST_BYTES:
            break


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="take every state instead")
    parser.add_argument(
        "--photos",
        type=Path,
        help="folder that the studio works in; what was prepared there before is used again",
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="realdrag-") as place:
        photos = asked.photos or Path(place)
        photos.mkdir(parents=True, exist_ok=True)
        if asked.all is not None:
            every_state(asked.all, photos)
        else:
            for_readme(photos)


if __name__ == "__main__":
    main()
