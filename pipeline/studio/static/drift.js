// Which handles may drift, because the face looks the same around them; the studio works it out.

import { Refused, json, place } from "./api.js";

/** Milliseconds: whoever presses Start at once is not made to wait for it. */
const SETTLE = 250;

/** @typedef {{handle: [number, number], distinctness: number, may_drift: boolean, better: [number, number]|null}} Drifting */

/** What the studio has said of the shown points. */
export class Drift {
  /** @param {() => void} changed called when an answer has come */
  constructor(changed) {
    this.changed = changed;
    this.asked = "";
    /** @type {Map<string, Drifting>} */
    this.known = new Map();
  }

  /** Ask again, once nothing happens, when the face or its points are others. @param {any} state */
  look(state) {
    const handles = state.edit.points.map(({ handle }) => handle);
    const asked = state.jobs.drag ? "" : JSON.stringify([state.id, state.made, handles]);
    if (asked === this.asked) return;
    this.asked = asked;
    clearTimeout(this.settle);
    if (asked) this.settle = setTimeout(() => this.ask(state.id, asked, handles.length), SETTLE);
  }

  async ask(id, asked, count) {
    let answers = [];
    try {
      if (count) answers = await json("GET", place(id, "/drift"));
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // it is busy: what it does changes the points
    }
    if (asked !== this.asked) return;
    this.known = new Map(answers.map((found) => [String(found.handle), found]));
    this.changed();
  }

  /** What is known of a handle that may drift; null for others. @returns {Drifting|null} */
  worry(handle) {
    const found = this.known.get(String(handle));
    return found?.may_drift ? found : null;
  }
}
