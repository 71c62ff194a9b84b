// Handles, targets and tracks, drawn over the picture; each handle and target can be focused.

import { s } from "./dom.js";
import { apply, clamp, far } from "./geometry.js";
import { say } from "./say.js";

/** Draws the pairs of a photo. */
export class Marks {
  /** @param {import("./points.js").Points} points */
  constructor(points) {
    this.points = points;
    this.group = s("g", { class: "points" });
    points.viewport.layer.append(this.group);
  }

  focus(index, end) {
    const element = /** @type {SVGElement|null} */ (
      this.group.querySelector(`[data-index="${index}"][data-end="${end}"]`));
    element?.focus();
  }

  /** Draw everything at its place on the screen. */
  render() {
    const { points } = this;
    const active = document.activeElement?.closest?.("[data-end]");
    const focused = active && this.group.contains(active) ? [active.dataset.index, active.dataset.end] : null;
    const screen = points.viewport.faceToScreen;
    const parts = [];
    if (points.showTracks) for (const { track } of points.pairs) parts.push(...drawnTrack(track, screen));
    points.pairs.forEach((pair, index) => parts.push(...this.pair(pair, index, screen)));
    if (points.pending) parts.push(...this.pending(points.pending, screen));
    this.group.replaceChildren(...parts);
    this.group.classList.toggle("quiet", !points.active);
    this.group.style.setProperty("display", points.hidden ? "none" : "");
    if (focused) this.focus(...focused);
  }

  /** How large handles are drawn: smaller on a small face, so that they do not hide it. */
  get scale() {
    const { viewport } = this.points;
    return clamp((viewport.faceSide * viewport.faceScale) / 300, 0.55, 1);
  }

  /** A handle that waits for its target. */
  pending(xy, screen) {
    const [x, y] = apply(screen, xy);
    return [s("circle", { cx: x, cy: y, r: 11 * this.scale, class: "handle pending" }),
      s("text", { x, y, class: "number", "font-size": 13 * this.scale }, String(this.points.numberOf({ number: null })))];
  }

  pair(pair, index, screen) {
    const { points, scale: k } = this;
    const [hx, hy] = apply(screen, pair.handle);
    const [tx, ty] = apply(screen, pair.target);
    const worry = points.worried(pair);
    const length = Math.hypot(tx - hx, ty - hy);
    const parts = [];
    if (length > 22 * k) {
      const cut = (v, w) => v + ((w - v) * (length - 9 * k)) / length;
      const ends = { x1: hx, y1: hy, x2: cut(hx, tx), y2: cut(hy, ty) };
      parts.push(s("line", { ...ends, class: "way under" }), s("line", { ...ends, class: "way" }));
    }
    const spot = (end, x, y, drawing) => {
      const group = s("g", {
        class: `spot ${end}`, tabindex: points.locked ? -1 : 0, role: "button", "data-index": index, "data-end": end,
        "aria-label": this.label(pair, end, worry),
      }, s("circle", { cx: x, cy: y, r: 22, class: "reach" }), ...drawing);
      group.addEventListener("keydown", (event) => points.key(event, index, end));
      return group;
    };
    parts.push(spot("target", tx, ty, [s("circle", { cx: tx, cy: ty, r: 8 * k, class: "target under" }), s("circle", { cx: tx, cy: ty, r: 8 * k, class: "target" }), s("circle", { cx: tx, cy: ty, r: 1.8, class: "dot" })]));
    const aside = (from, to) => from + (to > from ? -11 : 11) * k; // not over the way
    const warning = worry ? this.warning(aside(hx, tx), aside(hy, ty), worry.says) : [];
    parts.push(spot("handle", hx, hy, [s("circle", { cx: hx, cy: hy, r: 11 * k, class: "handle" }), s("text", { x: hx, y: hy, class: "number", "font-size": 13 * k }, String(points.numberOf(pair))), ...warning]));
    return parts;
  }

  label(pair, end, worry) {
    const { points } = this;
    const [x, y] = pair[end];
    const parts = [say(`point.${end}`, { number: points.numberOf(pair), x, y }), points.toGo(far(pair.handle, pair.target))];
    if (worry) parts.push(worry.says);
    if (!points.locked) parts.push(say("point.keys"));
    return parts.join(" ");
  }

  /** The sign of a handle that there is something to say of. */
  warning(x, y, says) {
    const r = Math.max(8 * this.scale, 6);
    return [s("circle", { cx: x, cy: y, r, class: "drifts" }, s("title", {}, says)), s("text", { x, y, class: "drifts", "font-size": 1.6 * r }, "!")];
  }
}

/** Where a handle went. */
function drawnTrack(track, screen) {
  if (!track || track.length < 2) return [];
  const line = track.map((xy) => apply(screen, xy).map((v) => v.toFixed(1)).join(",")).join(" ");
  return [s("polyline", { points: line, class: "track under" }), s("polyline", { points: line, class: "track" })];
}
