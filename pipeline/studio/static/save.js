// Taking things home: the picture, the film, the points.

import { ask, attempt, place } from "./api.js";
import { button, h } from "./dom.js";

const CHOICES = [
  ["The photo, PNG", "picture?format=png", "photo"],
  ["The photo, JPEG", "picture?format=jpg", "photo"],
  ["The face only, PNG", "picture?format=png&space=crop", "face"],
  ["Film of the drag, MP4", "animation?format=mp4", "film"],
  ["Film with its points, MP4", "animation?format=mp4&annotated=true", "film-points"],
  ["Animation, GIF", "animation?format=gif", "animation"],
  ["Animation with its points, GIF", "animation?format=gif&annotated=true", "animation-points"],
  ["The points", "save-points", "points"],
];

/** The section with everything that can be saved. */
export class Saving {
  /** @param {() => any} state */
  constructor(state) {
    this.state = state;
    this.buttons = CHOICES.map(([label, path, what]) => {
      const made = button(label, "save", () => this.save(made, path, what), { kind: "wide" });
      return made;
    });
    this.note = h("p", { class: "hint", role: "status" });
    this.element = h("div", { class: "saving" }, this.note, ...this.buttons);
  }

  set(state) {
    const dragged = Boolean(state.edit.drag) && !state.job;
    this.buttons.forEach((each, i) => {
      const points = CHOICES[i][2] === "points";
      each.disabled = points ? !state.edit.points.length : !dragged;
    });
    this.note.textContent = dragged ? "" : "Drag something first.";
    this.note.hidden = dragged;
  }

  async save(made, path, what) {
    const { id, name } = this.state();
    made.setAttribute("aria-busy", "true");
    const answer = await attempt(() => ask("GET", place(id, path === "save-points" ? "/save/points" : `/save/${path}`)));
    made.removeAttribute("aria-busy");
    if (!answer) return;
    const address = URL.createObjectURL(await answer.blob());
    const suffix = answer.headers.get("X-Suffix");
    const link = h("a", { href: address, download: `${name}-${what === "photo" ? "edited" : what}.${suffix}` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }
}
