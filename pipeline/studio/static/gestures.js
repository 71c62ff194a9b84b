// Pointers on the picture: one presses or draws, two zoom, a wheel zooms, a held hand pans.

import { h } from "./dom.js";
import { clamp, far } from "./geometry.js";

const LOUPE = 116;
const LOUPE_ZOOM = 2;

/**
 * Listens to the pointers of a viewport; who edits sets what happens.
 */
export class Gestures {
  /** @param {import("./viewport.js").Viewport} viewport */
  constructor(viewport) {
    this.viewport = viewport;
    this.pointers = new Map();
    this.panning = false;
    this.pressing = false;
    this.handMode = false;
    /** Gets presses that do not pan; returns whether it takes one. */
    this.onPress = (_xy, _event) => false;
    this.onMove = (_xy, _event) => {};
    this.onRelease = (_xy, _event) => {};
    this.onAbort = () => {};
    this.onHover = (_xy, _event) => {};
    /** Touch hides what is under it: shown above the finger meanwhile. */
    this.loupe = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "loupe", hidden: true, "aria-hidden": "true", width: 2 * LOUPE, height: 2 * LOUPE }));
    viewport.element.append(this.loupe);
    this.listen(viewport.element);
  }

  listen(area) {
    area.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.viewport.zoomBy(Math.exp(-clamp(event.deltaY, -120, 120) / 300), this.viewport.onScreen(event));
    }, { passive: false });
    area.addEventListener("contextmenu", (event) => event.preventDefault());
    area.addEventListener("pointerdown", (event) => this.pressed(event));
    area.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) {
      area.addEventListener(name, (event) => this.released(event));
    }
    area.addEventListener("pointerleave", () => this.onHover(null, null));
  }

  pressed(event) {
    if (event.target.closest("button, .divider")) return;
    const { viewport } = this;
    this.pointers.set(event.pointerId, viewport.onScreen(event));
    capture(viewport.element, event.pointerId);
    if (this.pointers.size === 2) {
      if (this.pressing) this.onAbort();
      this.pressing = false;
      this.panning = true;
    } else if (this.handMode || event.button === 1 || event.button === 2) {
      this.panning = true;
    } else if (this.pointers.size === 1) {
      this.pressing = this.onPress(viewport.at(event), event);
      this.panning = !this.pressing;
    }
    this.shown(event);
  }

  moved(event) {
    const { viewport } = this;
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.onHover(viewport.at(event), event);
      return;
    }
    const now = viewport.onScreen(event);
    if (this.panning && this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, xy]) => xy);
      const middle = (p) => [(p[0] + other[0]) / 2, (p[1] + other[1]) / 2];
      viewport.zoomBy(far(now, other) / Math.max(far(before, other), 1), middle(before));
      const [from, to] = [middle(before), middle(now)];
      viewport.panBy(to[0] - from[0], to[1] - from[1]);
    } else if (this.panning) {
      viewport.panBy(now[0] - before[0], now[1] - before[1]);
    } else if (this.pressing) {
      this.onMove(viewport.at(event), event);
    }
    this.pointers.set(event.pointerId, now);
    this.onHover(viewport.at(event), event);
    this.shown(event);
  }

  released(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.pressing) {
      if (event.type === "pointercancel") this.onAbort();
      else this.onRelease(this.viewport.at(event), event);
    }
    this.pressing = false;
    if (this.pointers.size === 0) this.panning = false;
    this.shown(event);
  }

  /** Give up what is being drawn: what it stood on has changed. */
  abort() {
    if (this.pressing) this.onAbort();
    this.pressing = false;
  }

  shown(event) {
    this.viewport.element.classList.toggle("panning", this.panning);
    const magnified = this.pressing && event.pointerType === "touch";
    this.loupe.hidden = !magnified;
    if (magnified) requestAnimationFrame(() => this.magnify(this.viewport.onScreen(event)));
  }

  /** Show what is under the finger, above it, or below where there is no room above. */
  magnify([x, y]) {
    const { canvas, size } = this.viewport;
    const dots = canvas.width / size[0];
    const context = this.loupe.getContext("2d");
    const side = (LOUPE / LOUPE_ZOOM) * dots;
    context.fillStyle = "#333";
    context.fillRect(0, 0, 2 * LOUPE, 2 * LOUPE);
    context.drawImage(canvas, x * dots - side / 2, y * dots - side / 2, side, side, 0, 0, 2 * LOUPE, 2 * LOUPE);
    context.lineWidth = 3;
    context.strokeStyle = "#fff";
    context.beginPath();
    context.arc(LOUPE, LOUPE, 11, 0, 7);
    context.stroke();
    const style = this.loupe.style;
    const above = y > LOUPE + 48;
    style.setProperty("left", `${clamp(x - LOUPE / 2, 4, size[0] - LOUPE - 4)}px`);
    style.setProperty("top", `${above ? y - LOUPE - 44 : y + 44}px`);
  }
}

function capture(element, id) {
  try {
    element.setPointerCapture(id);
  } catch { /* the pointer has gone already */ }
}
