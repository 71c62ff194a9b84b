// Handles and targets on the picture, and the list of them beside it.

import { apply, clamp, far } from "./geometry.js";
import { button, h, s } from "./dom.js";
import { Drift } from "./drift.js";
import { distance } from "./words.js";

const TAP = 6;
const REACH = { mouse: 16, pen: 20, touch: 28 };

/** Below this many pixels of the face a handle is where it should be. */
const THERE = 0.05;

const LITTLE_TEXTURE = "Little texture here: it may drift.";

/** @param {Pair} pair */
const toGo = ({ handle, target }) => (far(handle, target) < THERE ? "Arrived" : `${distance(far(handle, target))} to go`);

/**
 * @typedef {{handle: [number, number], target: [number, number]}} Pair
 */

/** Shows pairs, and lets them be made, moved and removed. */
export class Points {
  /**
   * @param {import("./viewport.js").Viewport} viewport
   * @param {(points: Pair[], what: string) => void} commit
   */
  constructor(viewport, commit) {
    this.viewport = viewport;
    this.commit = commit;
    /** @type {Pair[]} */
    this.pairs = [];
    this.tracks = [];
    this.drift = new Drift(() => this.render());
    this.locked = false;
    this.active = true;
    /** A gesture: what is being moved, or a new pair. */
    this.gesture = null;
    /** A handle that waits for its target. */
    this.pending = null;
    this.list = h("ol", { class: "points-list" });
    this.group = s("g", { class: "points" });
    viewport.layer.append(this.group);
  }

  /** Take over what the studio says, unless the person is moving something just now. */
  set(pairs, tracks) {
    this.tracks = tracks;
    if (this.gesture) return;
    this.pairs = pairs.map(({ handle, target }) => ({ handle: [...handle], target: [...target] }));
    this.render();
  }

  /** Where the handles of a running drag are now. */
  setLive(handles, tracking = false) {
    handles.forEach((xy, i) => {
      if (!this.pairs[i]) return;
      this.pairs[i].handle = xy;
      if (tracking) (this.tracks[i] ??= []).push(xy);
    });
    this.render();
  }

  press(xy, event) {
    if (this.locked) return false;
    const found = this.nearest(event);
    if (found) {
      this.pending = null;
      this.gesture = { ...found, start: this.viewport.onScreen(event), moved: false, before: structuredClone(this.pairs) };
      this.render();
      return true;
    }
    if (!this.viewport.isInside(xy)) return false;
    if (this.pending) {
      const pair = { handle: this.pending, target: this.viewport.inside(xy) };
      this.pending = null;
      this.gesture = { index: this.pairs.length, end: "target", start: null, moved: true, fresh: true, before: structuredClone(this.pairs) };
      this.pairs.push(pair);
    } else {
      this.gesture = { index: this.pairs.length, end: "target", start: this.viewport.onScreen(event), moved: false, fresh: true, before: structuredClone(this.pairs) };
      this.pairs.push({ handle: this.viewport.inside(xy), target: this.viewport.inside(xy) });
    }
    this.render();
    return true;
  }

  move(xy, event) {
    const gesture = this.gesture;
    if (!gesture) return;
    if (!gesture.moved && far(this.viewport.onScreen(event), gesture.start) < TAP) return;
    gesture.moved = true;
    this.pairs[gesture.index][gesture.end] = this.viewport.inside(xy);
    this.render();
  }

  release() {
    const gesture = this.gesture;
    this.gesture = null;
    if (!gesture) return;
    const pair = this.pairs[gesture.index];
    if (!gesture.moved) {
      this.pairs = gesture.before;
      if (gesture.fresh) this.pending = pair.handle;
      else this.focus(gesture.index, gesture.end);
      this.render();
      return;
    }
    if (far(pair.handle, pair.target) < 0.01) {
      this.pairs = gesture.before;
      this.render();
      return;
    }
    const number = gesture.index + 1;
    this.send(gesture.fresh ? `Point ${number}` : `Move point ${number}`);
  }

  abort() {
    if (this.gesture) this.pairs = this.gesture.before;
    this.gesture = null;
    this.pending = null;
    this.render();
  }

  send(what) {
    this.render();
    this.commit(this.pairs, what);
  }

  remove(index) {
    this.pairs.splice(index, 1);
    this.tracks.splice(index, 1);
    this.send(`Remove point ${index + 1}`);
  }

  clear() {
    this.pairs = [];
    this.pending = null;
    this.send("Clear points");
  }

  /** Put a point in the middle of what is seen, for those who use the keyboard. */
  add() {
    const view = this.viewport;
    const [width, height] = view.size;
    const inverse = view.at({ clientX: width / 2 + view.element.getBoundingClientRect().left,
      clientY: height / 2 + view.element.getBoundingClientRect().top });
    let handle = view.inside(inverse);
    const taken = (xy) => this.pairs.some((pair) => far(pair.handle, xy) < 1);
    while (taken(handle)) handle = view.inside([handle[0], handle[1] + 3]);
    const target = view.inside([handle[0] + view.faceSize / 12, handle[1]]);
    this.pairs.push({ handle, target });
    this.send(`Point ${this.pairs.length}`);
    this.focus(this.pairs.length - 1, "handle");
  }

  /** Move a point to where its handle holds better, and its target by the same way. */
  improve(index, better) {
    const { handle, target } = this.pairs[index];
    const moved = [0, 1].map((i) => target[i] + better[i] - handle[i]);
    this.pairs[index] = { handle: [...better], target: this.viewport.inside(moved) };
    this.send(`Move point ${index + 1}`);
    this.focus(index, "handle");
  }

  nearest(event) {
    const here = this.viewport.onScreen(event);
    const reach = REACH[event.pointerType] ?? REACH.mouse;
    let best = null;
    this.pairs.forEach((pair, index) => {
      for (const end of ["handle", "target"]) {
        const away = far(this.viewport.place(pair[end]), here);
        if (away <= reach && (!best || away < best.away)) best = { index, end, away };
      }
    });
    return best;
  }

  focus(index, end) {
    const element = /** @type {SVGElement|null} */ (
      this.group.querySelector(`[data-index="${index}"][data-end="${end}"]`));
    element?.focus();
  }

  key(event, index, end) {
    if (this.locked) return;
    const step = event.shiftKey ? 5 : 0.5;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      event.preventDefault();
      event.stopPropagation();
      const pair = this.pairs[index];
      pair[end] = this.viewport.inside([pair[end][0] + move[0], pair[end][1] + move[1]]);
      this.render();
      this.focus(index, end);
      clearTimeout(this.settle);
      this.settle = setTimeout(() => this.send(`Move point ${index + 1}`), 350);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.remove(index);
    }
  }

  /** Draw everything at its place on the screen. */
  render() {
    const held = document.activeElement?.closest?.("[data-end]");
    const focused = held && this.group.contains(held) ? [held.dataset.index, held.dataset.end] : null;
    const screen = this.viewport.faceToScreen;
    const parts = [];
    for (const track of this.tracks) {
      if (track && track.length > 1) {
        const line = track.map((xy) => apply(screen, xy).map((v) => v.toFixed(1)).join(",")).join(" ");
        parts.push(s("polyline", { points: line, class: "track under" }), s("polyline", { points: line, class: "track" }));
      }
    }
    this.pairs.forEach((pair, index) => parts.push(...this.drawn(pair, index, screen)));
    if (this.pending) {
      const [x, y] = apply(screen, this.pending);
      parts.push(s("circle", { cx: x, cy: y, r: 11 * this.scale, class: "handle pending" }));
      parts.push(s("text", { x, y, class: "number", "font-size": 13 * this.scale }, String(this.pairs.length + 1)));
    }
    this.group.replaceChildren(...parts);
    this.group.classList.toggle("quiet", !this.active);
    if (focused) this.focus(...focused);
    this.renderList();
  }

  /** How large handles are drawn: smaller on a small face, so that they do not hide it. */
  get scale() {
    const screen = this.viewport.faceToScreen;
    return clamp((this.viewport.faceSize * Math.hypot(screen[0], screen[1])) / 300, 0.55, 1);
  }

  drawn(pair, index, screen) {
    const k = this.scale;
    const [hx, hy] = apply(screen, pair.handle);
    const [tx, ty] = apply(screen, pair.target);
    const left = far(pair.handle, pair.target);
    const drifts = this.worried(pair) !== null;
    const length = Math.hypot(tx - hx, ty - hy);
    const parts = [];
    if (length > 22 * k) {
      const cut = (v, w) => v + ((w - v) * (length - 9 * k)) / length;
      const ends = { x1: hx, y1: hy, x2: cut(hx, tx), y2: cut(hy, ty) };
      parts.push(s("line", { ...ends, class: "way under" }), s("line", { ...ends, class: "way" }));
    }
    const spot = (end, x, y, drawing) => {
      const group = s("g", {
        class: `spot ${end}`, tabindex: this.locked ? -1 : 0, role: "button", "data-index": index, "data-end": end,
        "aria-label": `Point ${index + 1}, ${end}, at ${pair[end].map((v) => v.toFixed(1)).join(", ")}. ${distance(left)} to go.${drifts ? ` ${LITTLE_TEXTURE}` : ""} Arrow keys move it, Delete removes the point.`,
      }, s("circle", { cx: x, cy: y, r: 18, class: "reach" }), ...drawing);
      group.addEventListener("keydown", (event) => this.key(event, index, end));
      return group;
    };
    parts.push(spot("target", tx, ty, [s("circle", { cx: tx, cy: ty, r: 8 * k, class: "target under" }), s("circle", { cx: tx, cy: ty, r: 8 * k, class: "target" }), s("circle", { cx: tx, cy: ty, r: 1.8, class: "dot" })]));
    const aside = (from, to) => from + (to > from ? -11 : 11) * k; // not over the way
    const mark = drifts ? this.mark(aside(hx, tx), aside(hy, ty)) : [];
    parts.push(spot("handle", hx, hy, [s("circle", { cx: hx, cy: hy, r: 11 * k, class: "handle" }), s("text", { x: hx, y: hy, class: "number", "font-size": 13 * k }, String(index + 1)), ...mark]));
    const right = tx >= hx;
    if (left >= THERE) parts.push(s("text", { x: tx + (right ? 14 : -14) * k, y: ty, class: "left", "text-anchor": right ? "start" : "end" }, distance(left)));
    return parts;
  }

  /** What the studio says of a point that may drift; null while a drag runs. */
  worried(pair) {
    return this.locked ? null : this.drift.worry(pair, this.viewport.faceSize);
  }

  /** The sign of a handle that may drift. */
  mark(x, y) {
    const r = Math.max(8 * this.scale, 6);
    return [s("circle", { cx: x, cy: y, r, class: "drifts" }, s("title", {}, LITTLE_TEXTURE)), s("text", { x, y, class: "drifts", "font-size": 1.6 * r }, "!")];
  }

  /** Words about a point that may drift, and the way out. */
  hint(pair, index) {
    const held = this.worried(pair);
    if (!held) return null;
    const better = held.better;
    return h("div", { class: "drift-hint" },
      h("p", { class: "hint" }, LITTLE_TEXTURE),
      !better && h("p", { class: "hint" }, "No better place is near."),
      better && button(`Move point ${index + 1} to a better place`, "point", () => this.improve(index, better)));
  }

  renderList() {
    const rows = this.pairs.map((pair, index) => h("li", {},
      h("span", { class: "badge", "aria-hidden": "true" }, String(index + 1)),
      h("span", { class: "grow" }, toGo(pair)),
      this.locked ? null : button(`Remove point ${index + 1}`, "close", () => this.remove(index), { bare: true }),
      this.hint(pair, index)));
    if (this.pending) {
      rows.push(h("li", {}, h("span", { class: "badge" }, String(this.pairs.length + 1)), h("span", { class: "grow" }, "Now press where it should go. Escape takes it back.")));
    }
    this.list.replaceChildren(...rows);
  }
}
