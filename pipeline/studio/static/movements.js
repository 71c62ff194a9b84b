// Ready-made movements: a press sets their points, a slider says how far they go.

import { button, h } from "./dom.js";
import { far } from "./geometry.js";
import { MOVEMENTS } from "./parts.js";
import { say } from "./say.js";

const STANDARD = 100;

/** A point that lies nearer than this many pixels of the face to where one is wanted is that one. */
const SAME = 1.5;

/** Buttons for the movements, and the slider of the one that was pressed last. */
export class Movements {
  /** @param {import("./points.js").Points} points */
  constructor(points) {
    this.points = points;
    this.parts = null;
    this.last = null;
    this.buttons = Object.keys(MOVEMENTS).map((name) => [name, button(say(`movement.${name}`), null, () => this.choose(name))]);
    this.amount = /** @type {HTMLInputElement} */ (h("input", { type: "range", id: "amount", min: -100, max: 250, step: 5, value: STANDARD,
      oninput: () => this.put(false), onchange: () => this.put(true) }));
    this.reset = button(say("movement.reset"), "reset", () => { this.amount.value = String(STANDARD); this.put(true); }, { bare: true });
    this.slider = h("div", { class: "row", hidden: true }, h("label", { for: "amount" }, say("movement.amount")), this.amount, this.reset);
    this.element = h("div", { class: "movements" }, h("div", { class: "row wrap" }, ...this.buttons.map(([, each]) => each)), this.slider);
  }

  /** @param {import("./parts.js").Parts} parts of the face that is shown @param {boolean} locked */
  set(parts, locked) {
    if (this.parts !== parts) this.last = null; // the face is another: what was set is done
    this.parts = parts;
    for (const [name, each] of this.buttons) {
      each.disabled = locked || !parts.known;
      each.setAttribute("aria-pressed", String(this.last?.name === name));
    }
    this.slider.hidden = !this.last;
    this.amount.disabled = this.reset.disabled = locked;
  }

  choose(name) {
    this.last = { name, pairs: this.parts.movement(name, 0) };
    this.amount.value = String(STANDARD);
    this.put(true);
  }

  /** Put the points where they belong; `keep` says whether that is an edit, or on the way to one. */
  put(keep) {
    const { points, last } = this;
    if (!last || points.locked) return;
    const wanted = this.parts.movement(last.name, Number(this.amount.value) / 100);
    const put = wanted.map(({ handle, target }) => {
      let pair = points.pairs.find((each) => far(each.handle, handle) < SAME);
      if (!pair) points.pairs.push(pair = { number: null, handle, target, track: [] });
      pair.target = points.viewport.inside(target);
      return pair;
    });
    if (keep) points.send({ what: "movement", put });
    else points.changed();
  }
}
