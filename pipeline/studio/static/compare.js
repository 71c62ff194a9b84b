// Before and after: a line over the picture with a thumb on it.

import { h } from "./dom.js";
import { clamp } from "./geometry.js";
import { say } from "./say.js";

const STEP = 0.02;

/** The line between before and after; the rest of the picture is there for points as ever. */
export class Divider {
  /** @param {import("./viewport.js").Viewport} viewport @param {() => void} moved */
  constructor(viewport, moved) {
    this.viewport = viewport;
    this.moved = moved;
    this.share = 0.5;
    this.thumb = h("div", { class: "thumb", role: "slider", tabindex: 0, "aria-label": say("compare.slider"),
      "aria-valuemin": 0, "aria-valuemax": 100, onkeydown: (event) => this.key(event) });
    this.element = h("div", { class: "divider", hidden: true }, this.thumb);
    this.element.addEventListener("pointerdown", (event) => this.press(event));
    viewport.element.append(this.element);
  }

  press(event) {
    event.preventDefault();
    this.thumb.focus();
    this.element.setPointerCapture(event.pointerId);
    const move = (next) => this.set((this.viewport.onScreen(next)[0] - this.viewport.seen[0]) / this.width);
    const end = () => {
      this.element.removeEventListener("pointermove", move);
      this.element.removeEventListener("pointerup", end);
      this.element.removeEventListener("pointercancel", end);
    };
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", end);
    this.element.addEventListener("pointercancel", end);
  }

  key(event) {
    const to = { ArrowLeft: this.share - STEP, ArrowRight: this.share + STEP, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(to);
  }

  set(share) {
    this.share = clamp(share, 0, 1);
    this.moved();
  }

  get width() {
    const [x0, , x1] = this.viewport.seen;
    return Math.max(x1 - x0, 1);
  }

  /** Lay the line where it belongs. @param {boolean} shown */
  place(shown) {
    this.element.hidden = !shown;
    if (!shown) return;
    const [x0, y0, , y1] = this.viewport.seen;
    const style = this.element.style;
    style.setProperty("transform", `translate(${x0 + this.share * this.width}px, ${y0}px)`);
    style.setProperty("height", `${Math.max(y1 - y0, 0)}px`);
    const percent = Math.round(100 * this.share);
    this.thumb.setAttribute("aria-valuenow", String(percent));
    this.thumb.setAttribute("aria-valuetext", say("compare.value", { percent }));
  }
}
