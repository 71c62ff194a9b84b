// The area that may change: painted with a brush, at the face's own resolution.

import { button, h } from "./dom.js";
import { clamp, far } from "./geometry.js";
import { say } from "./say.js";

const TINT = [38, 166, 154];
const STRONG = 118;

/** A mask of the face: 255 may change, 0 is kept; none means that everything may. */
export class Area {
  /**
   * @param {import("./viewport.js").Viewport} viewport
   * @param {(png: Blob|null, how: "replace"|"paint"|"erase") => void} commit
   * @param {() => number[][]} handles where the points are, for those who do not paint
   */
  constructor(viewport, commit, handles) {
    this.viewport = viewport;
    this.commit = commit;
    this.handles = handles;
    this.width = 0;
    this.height = 0;
    /** @type {Uint8ClampedArray|null} */
    this.values = null;
    this.erasing = false;
    this.locked = false;
    this.tint = document.createElement("canvas");
    this.build();
  }

  build() {
    this.radius = /** @type {HTMLInputElement} */ (h("input", { type: "range", min: 1, max: 40, value: 12, id: "brush-size",
      oninput: () => this.viewport.paintSoon() }));
    this.paintButton = button(say("area.paint"), "brush", () => this.setErasing(false));
    this.eraseButton = button(say("area.erase"), "eraser", () => this.setErasing(true));
    this.summary = h("p", { class: "hint", role: "status" });
    this.around = button(say("area.around"), null, () => this.paintAround(), { title: say("area.around.title") });
    this.buttons = [
      button(say("area.fill"), null, () => this.change(() => 255), { title: say("area.fill.title") }),
      button(say("area.invert"), null, () => this.change((value) => 255 - value), { title: say("area.invert.title") }),
      button(say("area.clear"), null, () => { this.values = null; this.shown(); this.commit(null, "replace"); }, { title: say("area.clear.title") }),
    ];
    this.element = h("div", { class: "area-tools" },
      h("div", { class: "row segment", role: "group", "aria-label": say("area.brush") }, this.paintButton, this.eraseButton),
      h("label", { for: "brush-size", class: "row" }, h("span", {}, say("area.size")), this.radius),
      h("div", { class: "row wrap" }, this.around, ...this.buttons),
      this.summary);
    this.setErasing(false);
  }

  setErasing(erasing) {
    this.erasing = erasing;
    this.paintButton.setAttribute("aria-pressed", String(!erasing));
    this.eraseButton.setAttribute("aria-pressed", String(erasing));
  }

  setLocked(locked) {
    this.locked = locked;
    for (const control of [this.paintButton, this.eraseButton, this.radius, this.around, ...this.buttons]) control.disabled = locked;
  }

  /** Make the brush larger or smaller. @param {number} factor */
  resize(factor) {
    const value = Number(this.radius.value);
    this.radius.value = String(clamp(Math.round(factor > 1 ? Math.max(value * factor, value + 1) : Math.min(value * factor, value - 1)), 1, 40));
    this.viewport.paintSoon();
  }

  /** Brush radius in pixels of the face. */
  get brush() {
    return (Number(this.radius.value) / 100) * Math.max(this.width, this.height) * 0.5 + 0.5;
  }

  /** @param {number[]} size width and height @param {CanvasImageSource|null} picture the mask as the studio has it */
  set([width, height], picture) {
    if (this.painting) return;
    this.width = width;
    this.height = height;
    this.values = null;
    if (picture) {
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0, width, height);
      const { data } = context.getImageData(0, 0, width, height);
      this.values = new Uint8ClampedArray(width * height).map((_, i) => (data[4 * i] >= 128 ? 255 : 0));
    }
    this.shown();
  }

  /** Whether a place of the face is kept as it is. */
  keeps([x, y]) {
    const column = clamp(Math.round(x), 0, this.width - 1);
    const row = clamp(Math.round(y), 0, this.height - 1);
    return this.values !== null && this.values[row * this.width + column] < 128;
  }

  press(xy) {
    if (this.locked || !this.width) return false;
    this.begin();
    this.painting = true;
    this.last = xy;
    this.draw(xy, xy);
    return true;
  }

  begin() {
    this.before = this.values && this.values.slice();
    this.stroke = new Uint8ClampedArray(this.width * this.height);
    // A brush on nothing starts an area; an eraser on nothing takes from the whole face.
    this.values = this.values ? this.values.slice() : new Uint8ClampedArray(this.width * this.height).fill(this.erasing ? 255 : 0);
  }

  move(xy) {
    if (!this.painting) return;
    this.draw(this.last, xy);
    this.last = xy;
  }

  release() {
    if (!this.painting) return;
    this.painting = false;
    this.send(this.stroke, this.erasing ? "erase" : "paint");
  }

  abort() {
    if (this.painting) this.values = this.before;
    this.painting = false;
    this.shown();
  }

  /** Paint around every point: what a brush does, without one. */
  paintAround() {
    if (this.locked || !this.handles().length) return;
    this.begin();
    for (const xy of this.handles()) this.draw(xy, xy);
    this.send(this.stroke, this.erasing ? "erase" : "paint");
  }

  /** Paint everything that is nearer than the brush's radius to a straight line. */
  draw([x0, y0], [x1, y1]) {
    const radius = this.brush;
    const value = this.erasing ? 0 : 255;
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy || 1;
    const rows = [Math.min(y0, y1) - radius, Math.max(y0, y1) + radius].map((v) => clamp(Math.round(v), 0, this.height - 1));
    const columns = [Math.min(x0, x1) - radius, Math.max(x0, x1) + radius].map((v) => clamp(Math.round(v), 0, this.width - 1));
    for (let row = rows[0]; row <= rows[1]; row += 1) {
      for (let column = columns[0]; column <= columns[1]; column += 1) {
        const t = clamp(((column - x0) * dx + (row - y0) * dy) / length, 0, 1);
        if (far([column, row], [x0 + t * dx, y0 + t * dy]) > radius) continue;
        this.values[row * this.width + column] = value;
        this.stroke[row * this.width + column] = 255;
      }
    }
    this.shown();
  }

  change(map) {
    // Without an area everything may change, so that is what is inverted.
    const from = this.values ?? new Uint8ClampedArray(this.width * this.height).fill(255);
    this.values = from.map(map);
    this.send(this.values, "replace");
  }

  async send(values, how) {
    this.shown();
    const canvas = Object.assign(document.createElement("canvas"), { width: this.width, height: this.height });
    const image = new ImageData(this.width, this.height);
    values.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
    canvas.getContext("2d").putImageData(image, 0, 0);
    this.commit(await new Promise((done) => canvas.toBlob(done, "image/png")), how);
  }

  /** Bring tint and words up to date. */
  shown() {
    this.tint.width = Math.max(this.width, 1);
    this.tint.height = Math.max(this.height, 1);
    let share = 1;
    if (this.values) {
      const image = new ImageData(this.width, this.height);
      let count = 0;
      this.values.forEach((value, i) => {
        if (!value) return;
        image.data.set([...TINT, STRONG], 4 * i);
        count += 1;
      });
      this.tint.getContext("2d").putImageData(image, 0, 0);
      share = count / this.values.length;
    }
    this.viewport.look.tint = this.values ? this.tint : null;
    this.viewport.paintSoon();
    this.summary.textContent = this.words(share);
    this.summary.classList.toggle("warn", share === 0);
  }

  words(share) {
    if (!this.values || share === 1) return say("area.all");
    if (share === 0) return say("area.none");
    return say("area.some", { percent: Math.max(1, Math.round(share * 100)) });
  }
}
