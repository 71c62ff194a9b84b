// The list of points beside the picture: how far each has to go, and what can be done to it.

import { button, h } from "./dom.js";
import { far } from "./geometry.js";
import { HELD } from "./points.js";
import { say } from "./say.js";

/** A row for each pair of a photo. */
export class PointsList {
  /** @param {import("./points.js").Points} points */
  constructor(points) {
    this.points = points;
    this.element = h("ol", { class: "points-list" });
    points.onRender = () => this.render();
  }

  render() {
    const { points } = this;
    const rows = points.pairs.map((pair, index) => this.row(pair, index));
    const list = JSON.stringify([rows.map((row) => row.textContent), points.locked, points.pairs.map((pair) => points.worried(pair))]);
    if (list === this.listed) return; // a button keeps its focus while nothing changes
    this.listed = list;
    this.element.replaceChildren(...rows);
  }

  row(pair, index) {
    const { points } = this;
    const number = points.numberOf(pair);
    const left = far(pair.handle, pair.target);
    const bare = { bare: true };
    return h("li", {},
      h("span", { class: "badge", "aria-hidden": "true" }, String(number)),
      h("span", { class: "grow" }, points.toGo(left)),
      ...(points.locked ? [] : [
        button(say("point.pin", { number }), "pin", () => points.pin(index), { ...bare, pressed: left < HELD }),
        button(say("point.mirror", { number }), "mirror", () => points.mirror(index), bare),
        button(say("point.remove", { number }), "close", () => points.remove(index), bare)]),
      this.hint(pair, index));
  }

  /** Words about a point that there is something to say of, and the way out. */
  hint(pair, index) {
    const { points } = this;
    const worry = points.worried(pair);
    if (!worry) return null;
    const better = worry.drifting?.better;
    return h("div", { class: "drift-hint" },
      h("p", { class: "hint" }, worry.says),
      worry.drifting && !better && h("p", { class: "hint" }, say("point.noBetter")),
      better && button(say("point.improve", { number: points.numberOf(pair) }), "point", () => points.improve(index, better)));
  }
}
