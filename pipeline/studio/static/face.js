// Choosing the face: one that was found, marked by hand, or the whole picture.

import { attempt, json, pictureUrl, place } from "./api.js";
import { button, h, s } from "./dom.js";

const MARKS = ["the eye on the left", "the eye on the right", "the left corner of the mouth", "the right corner of the mouth"];

/** Shows the photo with the faces found in it. */
export class FaceChoice {
  /** @param {{leave: () => void, editing: boolean}} app @param {any} state */
  constructor(app, state) {
    this.app = app;
    this.marks = null;
    this.photo = /** @type {HTMLImageElement} */ (h("img", { alt: "Your photo", class: "whole", draggable: "false", src: pictureUrl(state.id, "photo", "1") }));
    this.layer = h("div", { class: "faces" });
    this.frame = h("div", { class: "photo-frame", onclick: (event) => this.mark(event) }, this.photo, this.layer);
    this.words = h("div", { class: "choice-words" });
    this.actions = h("div", { class: "row wrap" });
    this.element = h("div", { class: "choose" }, h("div", { class: "photo-area" }, this.frame),
      h("aside", { class: "panel" }, this.words, this.actions));
    this.set(state);
  }

  set(state) {
    this.state = state;
    this.render();
  }

  render() {
    const { state } = this;
    const looking = state.job?.kind === "find";
    const faces = state.found?.faces ?? [];
    this.frame.classList.toggle("marking", Boolean(this.marks));
    if (state.photo) this.frame.style.setProperty("--ratio", String(state.photo.shown_width / state.photo.shown_height));
    this.layer.replaceChildren(...(this.marks ? this.markDots() : looking ? [] : faces.map((face, i) => this.box(face, i, faces.length))));
    const [title, text] = this.said(looking, faces);
    this.words.replaceChildren(h("h2", {}, title), h("p", {}, text),
      ...(this.marks || looking ? [] : (state.found?.notices ?? []).map(folded)));
    const rows = [];
    if (this.marks) {
      rows.push(button("Take back", "undo", () => { this.marks.pop(); this.render(); }));
      rows.push(button("Cancel", null, () => { this.marks = null; this.render(); }));
    } else if (!looking) {
      if (state.interrupted === "prepare" || (state.made.align && !state.ready)) {
        rows.push(button("Go on where it was", "play", () => this.prepare({}), { kind: "primary" }));
      }
      if (faces.length === 1) rows.push(button("Use this face", null, () => this.prepare({ face: 1 }), { kind: "primary" }));
      rows.push(button("Mark eyes and mouth", "point", () => { this.marks = []; this.render(); }, { kind: state.found && !faces.length ? "primary" : "" }));
      rows.push(button("Use the whole picture", null, () => this.prepare({ align: "none" }), { title: "For a picture that is a face crop already, or no face at all" }));
      if (!state.found) rows.push(button("Look for faces", null, () => this.find()));
      if (this.app.editing) rows.push(button("Keep the present face", "left", () => this.app.leave()));
    }
    this.actions.replaceChildren(...rows);
  }

  said(looking, faces) {
    if (looking) return ["Looking for faces …", "This takes a moment."];
    if (this.marks) {
      const next = MARKS[this.marks.length];
      return ["Mark the face", `Press ${next}, as you see it in the picture (${this.marks.length + 1} of 4).`];
    }
    if (this.state.interrupted === "prepare") return ["This was interrupted", "The studio was closed while it worked on this photo. What was finished is kept."];
    if (!this.state.found) return ["Which face?", "Let the studio look for faces, or mark one yourself."];
    if (!faces.length) return ["No face was found", "Mark the eyes and the mouth yourself, and go on."];
    if (faces.length === 1) return ["One face was found", "Use it, or mark another yourself."];
    return [`${faces.length} faces were found`, "Press the one to work on."];
  }

  percent(value, side) {
    return `${(100 * value) / this.state.found.size[side]}%`;
  }

  box({ box: [x0, y0, x1, y1] }, index, count) {
    const name = count === 1 ? "Use this face" : `Use face ${index + 1} of ${count}`;
    const element = h("button", { type: "button", class: "face-box", "aria-label": name, title: name,
      onclick: (event) => { event.stopPropagation(); this.prepare({ face: index + 1 }); } },
    h("span", { class: "badge" }, String(index + 1)));
    const style = element.style;
    style.setProperty("left", this.percent(x0, 0));
    style.setProperty("top", this.percent(y0, 1));
    style.setProperty("width", this.percent(x1 - x0, 0));
    style.setProperty("height", this.percent(y1 - y0, 1));
    return element;
  }

  markDots() {
    const [width, height] = [this.state.photo.width, this.state.photo.height];
    return this.marks.map(([x, y], i) => {
      const dot = h("span", { class: "mark-dot" }, s("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" }, s("circle", { cx: 10, cy: 10, r: 6 })));
      dot.style.setProperty("left", `${(100 * x) / width}%`);
      dot.style.setProperty("top", `${(100 * y) / height}%`);
      dot.title = MARKS[i];
      return dot;
    });
  }

  mark(event) {
    if (!this.marks || !this.state.photo) return;
    const area = this.photo.getBoundingClientRect();
    const { width, height } = this.state.photo;
    this.marks.push([((event.clientX - area.left) / area.width) * width - 0.5, ((event.clientY - area.top) / area.height) * height - 0.5]);
    this.render();
    if (this.marks.length < MARKS.length) return;
    const [left, right, ...mouth] = this.marks;
    this.marks = null;
    this.prepare({ landmarks: { eyes: [left, right], mouth } });
  }

  async prepare(choice) {
    await attempt(() => json("POST", place(this.state.id, "/prepare"), choice));
    this.render();
  }

  find() {
    return attempt(() => json("POST", place(this.state.id, "/faces")));
  }

  message() {}
}

/** A notice whose first sentence says it; the rest is for those who want to know. */
function folded(notice) {
  const end = notice.search(/[.!?] /) + 1;
  if (!end) return h("p", { class: "hint" }, notice);
  return h("details", { class: "hint" }, h("summary", {}, notice.slice(0, end)), h("p", {}, notice.slice(end + 1)));
}
