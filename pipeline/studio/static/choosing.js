// Choosing the face: one that was found, marked by hand, or the whole picture.

import { attempt, json, place } from "./api.js";
import { button, h, s } from "./dom.js";
import { apply } from "./geometry.js";
import { canSay, say } from "./say.js";

const MARKS = 4;

/** Boxes and marks over the photo, and the words and buttons that belong to them. */
export class Choosing {
  /**
   * @param {import("./viewport.js").Viewport} viewport
   * @param {{leave: () => void, changed: () => void, apply: (state: any) => void}} page
   */
  constructor(viewport, page) {
    this.viewport = viewport;
    this.page = page;
    /** Places in the photo that have been marked, while they are. @type {number[][]|null} */
    this.marks = null;
    this.layer = h("div", { class: "faces" });
    viewport.element.append(this.layer);
    this.words = h("div", { class: "choice-words" });
    this.actions = h("div", { class: "choice-actions" });
    this.element = h("section", { class: "choice" }, this.words, this.actions);
  }

  /** @param {any} state @param {boolean} active whether a face is to be chosen now */
  set(state, active) {
    this.state = state;
    this.active = active;
    if (!active) this.marks = null;
    this.render();
  }

  render() {
    const { state, active } = this;
    this.element.hidden = !active;
    this.layer.hidden = !active;
    const faces = state.found?.faces ?? [];
    const looking = Boolean(state.jobs.find);
    const boxes = active && !this.marks && !looking;
    this.layer.replaceChildren(...(boxes ? faces.map((face, i) => this.box(face, i, faces.length)) : []), ...(this.marks ?? []).map(() => mark()));
    this.place();
    if (!active) return;
    this.words.replaceChildren(h("h2", {}, this.marks ? say("choice.mark.title") : say("choice.title")),
      ...(this.marks || looking ? [] : (state.found?.notices ?? []).map(note)));
    this.actions.replaceChildren(...this.buttons(faces, looking));
  }

  buttons(faces, looking) {
    if (this.marks) {
      return [button(say("mark.back"), "undo", () => { this.marks.pop(); this.changed(); }),
        button(say("cancel"), null, () => this.stopMarking())];
    }
    if (looking) return [];
    const { state } = this;
    const rows = [];
    const unfinished = state.interrupted === "prepare" || (state.made.align && !state.ready);
    if (unfinished) rows.push(button(say("choice.goOn"), "play", () => this.prepare({}), { kind: "primary" }));
    if (faces.length === 1) rows.push(button(say("choice.this"), null, () => this.prepare({ face: 1 }), { kind: unfinished ? "" : "primary" }));
    rows.push(button(say("choice.mark"), "point", () => { this.marks = []; this.changed(); }, { kind: state.found && !faces.length ? "primary" : "" }));
    rows.push(button(say("choice.whole"), null, () => this.prepare({ align: "none" }), { title: say("choice.whole.title") }));
    if (!state.found) rows.push(button(say("choice.find"), null, () => attempt(() => json("POST", place(state.id, "/faces")))));
    if (state.ready) rows.push(button(say("choice.keep"), "left", () => this.page.leave()));
    return rows;
  }

  box(face, index, count) {
    const name = count === 1 ? say("choice.this") : say("choice.face", { number: index + 1, total: count });
    return h("button", { type: "button", class: "face-box", "aria-label": name, title: name, onclick: () => this.prepare({ face: index + 1 }) },
      h("span", { class: "badge" }, String(index + 1)));
  }

  /** Lay boxes and marks where they belong on the screen. */
  place() {
    const screen = this.viewport.toScreen;
    const faces = this.state?.found?.faces ?? [];
    [...this.layer.querySelectorAll(".face-box")].forEach((element, i) => {
      const [x0, y0, x1, y1] = faces[i].box;
      const [left, top] = apply(screen, [x0, y0]);
      const [right, bottom] = apply(screen, [x1, y1]);
      for (const [name, value] of [["left", left], ["top", top], ["width", right - left], ["height", bottom - top]]) {
        element.style.setProperty(name, `${value}px`);
      }
    });
    [...this.layer.querySelectorAll(".mark-dot")].forEach((element, i) => {
      const [x, y] = apply(screen, this.marks[i].map((value) => value + 0.5));
      element.style.setProperty("transform", `translate(${x}px, ${y}px)`);
    });
  }

  /** Take a press as the next mark. */
  press(event) {
    if (!this.marks || !this.state.photo) return false;
    this.marks.push(this.viewport.inWorld(event).map((value) => value - 0.5));
    if (this.marks.length < MARKS) {
      this.changed();
      return true;
    }
    const [left, right, ...mouth] = this.marks;
    this.stopMarking();
    this.prepare({ landmarks: { eyes: [left, right], mouth } });
    return true;
  }

  stopMarking() {
    this.marks = null;
    this.changed();
  }

  changed() {
    this.render();
    this.page.changed();
  }

  async prepare(choice) {
    const state = await attempt(() => json("POST", place(this.state.id, "/prepare"), choice));
    if (!state) return;
    this.page.leave();
    this.page.apply(state);
  }
}

function mark() {
  return h("span", { class: "mark-dot" }, s("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" }, s("circle", { cx: 10, cy: 10, r: 6 })));
}

/** What the search has to say; known things in the reader's language. */
function note(notice) {
  return h("p", { class: "hint" }, canSay(`notice.${notice}`) ? say(`notice.${notice}`) : notice);
}
