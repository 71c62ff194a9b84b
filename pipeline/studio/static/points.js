// Handles and targets: how they are made, moved and removed, and what the studio is told of it.

import { Drift } from "./drift.js";
import { far } from "./geometry.js";
import { Marks } from "./marks.js";
import { say } from "./say.js";

const TAP = 6;
const REACH = { mouse: 16, pen: 20, touch: 28 };

/** A point with less to go, in pixels of the face, holds its place. */
export const HELD = 0.01;

/** A point has arrived that has less to go than this share of the face. */
const ARRIVED = 1 / 256;

/**
 * @typedef {{number: number|null, handle: [number, number], target: [number, number], track: number[][]}} Pair
 * @typedef {{what: string, put?: Pair[], remove?: Pair[]}} Change
 */

/** The pairs of a photo, and what a pointer or the keyboard does to them. */
export class Points {
  /**
   * @param {import("./viewport.js").Viewport} viewport
   * @param {(change: () => object) => Promise<any>} commit sends what a function returns once those before have been answered; its promise is the new state
   * @param {() => void} changed called when what is on the picture is another
   */
  constructor(viewport, commit, changed) {
    this.viewport = viewport;
    this.commit = commit;
    this.changed = changed;
    /** @type {Pair[]} */
    this.pairs = [];
    this.drift = new Drift(() => this.render());
    /** Whether the area keeps a place as it is. @type {(xy: [number, number]) => boolean} */
    this.keeps = () => false;
    this.locked = false;
    this.active = true;
    this.hidden = false;
    this.showTracks = true;
    /** What is being moved: a pair by its place in the list, and which end of it. */
    this.gesture = null;
    /** A handle that waits for its target. */
    this.pending = null;
    /** What is known of the face's parts. @type {import("./parts.js").Parts|null} */
    this.parts = null;
    /** Changes that the studio has not confirmed yet: until then, what is here counts. */
    this.unconfirmed = 0;
    this.marks = new Marks(this);
    /** Called when what is known of the pairs may be another. */
    this.onRender = () => {};
  }

  /** Take over what the studio says; what is being moved just now stays under the finger. */
  set(pairs) {
    if (this.unconfirmed || this.settle) return;
    const moving = this.gesture && this.pairs[this.gesture.index];
    const next = pairs.map(({ number, handle, target, track }) => ({ number, handle: [...handle], target: [...target], track }));
    if (moving) {
      const index = moving.number === null ? next.push(moving) - 1 : next.findIndex(({ number }) => number === moving.number);
      if (index < 0) {
        this.gesture = null; // another page has taken it away
        this.viewport.gestures.abort();
      } else {
        this.gesture.before = structuredClone(next);
        if (moving.number === null) this.gesture.before.pop();
        moving.number = moving.number === null ? null : next[index].number;
        next[index] = moving;
        this.gesture.index = index;
      }
    }
    this.pairs = next;
    this.render();
  }

  /** Where the handles of a running drag are now. */
  setLive(handles) {
    handles.forEach((xy, i) => {
      const pair = this.pairs[i];
      if (!pair) return;
      pair.handle = xy;
      (pair.track ??= []).push(xy);
    });
    this.render();
  }

  press(xy, event) {
    if (this.locked) return false;
    const found = this.nearest(event);
    const before = structuredClone(this.pairs);
    const start = this.viewport.onScreen(event);
    if (found) {
      this.pending = null;
      this.gesture = { ...found, start, moved: false, before };
    } else {
      if (!this.viewport.isInside(xy)) return false;
      // A press near a part that holds well takes that part, and moves it by the same way.
      const handle = this.pending ?? this.viewport.inside(this.parts?.known ? this.parts.snapped(xy) : xy);
      const aside = this.pending ? [0, 0] : [handle[0] - xy[0], handle[1] - xy[1]];
      this.gesture = { index: this.pairs.length, end: "target", start, moved: Boolean(this.pending), fresh: true, aside, before };
      this.pairs.push({ number: null, handle, target: this.pending ? this.viewport.inside(xy) : [...handle], track: [] });
      this.pending = null;
    }
    this.render();
    return true;
  }

  move(xy, event) {
    const { gesture } = this;
    if (!gesture) return;
    if (!gesture.moved && far(this.viewport.onScreen(event), gesture.start) < TAP) return;
    gesture.moved = true;
    const [dx, dy] = gesture.aside ?? [0, 0];
    this.pairs[gesture.index][gesture.end] = this.viewport.inside([xy[0] + dx, xy[1] + dy]);
    this.render();
  }

  release() {
    const { gesture } = this;
    this.gesture = null;
    if (!gesture) return;
    const pair = this.pairs[gesture.index];
    const still = far(pair.handle, pair.target) < HELD;
    if (!gesture.moved || still) {
      this.pairs = gesture.before;
      if (!gesture.moved && gesture.fresh) this.pending = pair.handle;
      else if (!gesture.moved) this.focus(gesture.index, gesture.end);
      this.render();
      return;
    }
    this.send({ what: gesture.fresh ? "add" : "move", put: [pair] });
  }

  abort() {
    if (this.gesture) this.pairs = this.gesture.before;
    this.gesture = null;
    this.pending = null;
    this.render();
  }

  /** Send a change; what is shown is what it will be. @param {Change} change */
  async send(change) {
    this.unconfirmed += 1;
    const put = (change.put ?? []).map((pair) => ({ pair, handle: [...pair.handle], target: [...pair.target] }));
    this.render();
    // A pair has its number from the answer to what put it there: it is looked up when that is in.
    const numbered = () => ({
      what: change.what,
      put: put.map(({ pair, handle, target }) => ({ number: pair.number, handle, target })),
      remove: (change.remove ?? []).map(({ number }) => number).filter((number) => number !== null),
    });
    try {
      const state = await this.commit(numbered);
      if (state) this.number(put, state.edit.points);
    } finally {
      this.unconfirmed -= 1;
    }
    this.changed();
  }

  /** Give pairs that were put the numbers that they have got. */
  number(put, points) {
    const known = new Set(this.pairs.map(({ number }) => number));
    const same = (a, b) => far(a.handle, b.handle) < 0.01 && far(a.target, b.target) < 0.01;
    for (const each of put) {
      if (each.pair.number !== null) continue;
      const got = points.find((point) => !known.has(point.number) && same(point, each));
      if (!got) continue;
      known.add(got.number);
      const copies = [...this.pairs, ...(this.gesture?.before ?? [])].filter((pair) => pair.number === null && same(pair, each));
      for (const pair of [each.pair, ...copies]) pair.number = got.number;
    }
  }

  remove(index) {
    const [pair] = this.pairs.splice(index, 1);
    return this.send({ what: "remove", remove: [pair] });
  }

  clear() {
    const remove = this.pairs;
    this.pairs = [];
    this.pending = null;
    return this.send({ what: "clear", remove });
  }

  /** Put a point in the middle of what is seen, for those who use the keyboard. */
  async add() {
    const view = this.viewport;
    const box = view.element.getBoundingClientRect();
    let handle = view.inside(view.at({ clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 }));
    while (this.pairs.some((pair) => far(pair.handle, handle) < 1)) handle = view.inside([handle[0], handle[1] + 3]);
    const pair = { number: null, handle, target: view.inside([handle[0] + view.faceSide / 12, handle[1]]), track: [] };
    this.pairs.push(pair);
    await this.send({ what: "add", put: [pair] });
    this.focus(this.pairs.length - 1, "handle");
  }

  /** Move a point to where its handle holds better, and its target by the same way. */
  async improve(index, better) {
    const pair = this.pairs[index];
    pair.target = this.viewport.inside([0, 1].map((i) => pair.target[i] + better[i] - pair.handle[i]));
    pair.handle = [...better];
    await this.send({ what: "move", put: [pair] });
    this.focus(index, "handle");
  }

  /** Let a point hold its place while others move, or go on its way again. */
  pin(index) {
    const pair = this.pairs[index];
    const held = far(pair.handle, pair.target) < HELD;
    pair.target = held ? this.viewport.inside([pair.handle[0] + this.viewport.faceSide / 12, pair.handle[1]]) : [...pair.handle];
    return this.send({ what: held ? "move" : "pin", put: [pair] });
  }

  /** Put the same on the other side of the face. */
  mirror(index) {
    const [handle, target] = [this.pairs[index].handle, this.pairs[index].target].map((xy) => this.viewport.inside(this.mirrored(xy)));
    if (this.pairs.some((pair) => far(pair.handle, handle) < 1)) return undefined;
    const pair = { number: null, handle, target, track: [] };
    this.pairs.push(pair);
    return this.send({ what: "mirror", put: [pair] });
  }

  /** Where a place is on the other side of the face. */
  mirrored(xy) {
    return this.parts?.known ? this.parts.mirrored(xy) : [this.viewport.faceSize[0] - 1 - xy[0], xy[1]];
  }

  /** Whether any point asks for a movement. */
  get anyMoves() {
    return this.pairs.some(({ handle, target }) => !this.isThere(far(handle, target)));
  }

  /** Whether so little is left to go that a point is where it should be. */
  isThere(left) {
    return left < ARRIVED * this.viewport.faceSide;
  }

  nearest(event) {
    const here = this.viewport.onScreen(event);
    const reach = REACH[event.pointerType] ?? REACH.mouse;
    let best = null;
    this.pairs.forEach((pair, index) => {
      for (const end of ["target", "handle"]) {
        const away = far(this.viewport.place(pair[end]), here);
        if (away <= reach && (!best || away < best.away)) best = { index, end, away };
      }
    });
    return best;
  }

  focus(index, end) {
    this.marks.focus(index, end);
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
      this.settle = setTimeout(() => { this.settle = null; this.send({ what: "move", put: [pair] }); }, 350);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.remove(index);
    }
  }

  /** The number that a pair has, or is about to get. @param {Pair} pair */
  numberOf(pair) {
    return pair.number ?? Math.max(0, ...this.pairs.map(({ number }) => number ?? 0)) + 1;
  }

  toGo(left) {
    return this.isThere(left) ? say("point.there") : say("point.toGo", { pixels: left });
  }

  /** What there is to say of a point that may drift, or that the area keeps; null while a drag runs. */
  worried(pair) {
    if (this.locked || this.isThere(far(pair.handle, pair.target))) return null;
    if (this.keeps(pair.handle)) return { says: say("point.kept") };
    const drifting = this.drift.worry(pair.handle);
    return drifting && { says: say("point.drifts"), drifting };
  }

  /** Show everything at its place, on the picture and beside it. */
  render() {
    this.marks.render();
    this.onRender();
  }
}
