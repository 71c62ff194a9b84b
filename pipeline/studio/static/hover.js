// What a pointer that hovers over the picture is told: the part it would take, or how large the brush is.

import { h } from "./dom.js";
import { say } from "./say.js";

/** A name beside the pointer, and a ring around it. */
export class Hover {
  /** @param {import("./photo.js").PhotoPage} page */
  constructor(page) {
    this.page = page;
    this.name = h("p", { class: "chip part", hidden: true, "aria-hidden": "true" });
    this.ring = h("span", { class: "brush-ring", hidden: true, "aria-hidden": "true" });
    page.viewport.element.append(this.name, this.ring);
  }

  /** @param {[number, number]|null} xy in pixels of the face; null when the pointer has left @param {PointerEvent|null} event */
  at(xy, event) {
    this.showName(xy, event);
    this.showRing(xy);
  }

  showName(xy, event) {
    const { tool, points, gesture, parts, viewport } = this.page;
    const name = xy && tool === "points" && !points.locked && !gesture && !points.nearest(event) ? parts.nameAt(xy) : null;
    this.name.hidden = !name;
    if (!name) return;
    const [x, y] = viewport.onScreen(event);
    this.name.textContent = say(`part.${name}`);
    this.name.style.setProperty("transform", `translate(${Math.round(x + 16)}px, ${Math.round(y + 18)}px)`);
  }

  showRing(xy) {
    const { tool, area, viewport } = this.page;
    const shown = tool === "area" && xy && !area.locked;
    this.ring.hidden = !shown;
    if (!shown) return;
    const radius = area.brush * viewport.faceScale;
    const [x, y] = viewport.place(xy);
    const { style } = this.ring;
    style.setProperty("width", `${2 * radius}px`);
    style.setProperty("height", `${2 * radius}px`);
    style.setProperty("transform", `translate(${x - radius}px, ${y - radius}px)`);
  }
}
