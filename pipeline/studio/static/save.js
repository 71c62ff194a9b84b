// Taking things home: the picture, the film, the points.

import { ask, attempt, place, read } from "./api.js";
import { button, h } from "./dom.js";
import { saveAs } from "./files.js";
import { say } from "./say.js";

/** What can be saved: a row each, with its formats. The last part of a file's name comes last. */
const ROWS = [
  ["photo", [["PNG", "picture?format=png"], ["JPEG", "picture?format=jpg"]], "edited"],
  ["compare", [["PNG", "picture?format=png&what=compare"], ["JPEG", "picture?format=jpg&what=compare"]], "before-after"],
  ["face", [["PNG", "picture?format=png&what=face"], ["JPEG", "picture?format=jpg&what=face"]], "face"],
  ["film", [["MP4", "animation?format=mp4"], ["WebP", "animation?format=webp"], ["GIF", "animation?format=gif"]], "film"],
  ["points", [["JSON", "points"]], "points"],
];

/** The section with everything that can be saved. */
export class Saving {
  /** @param {() => any} state */
  constructor(state) {
    this.state = state;
    this.annotated = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: "annotated" }));
    this.buttons = [];
    const rows = ROWS.map(([key, formats, name]) => {
      const what = say(`save.${key}`);
      return h("div", { class: "save-row", role: "group", "aria-label": what },
        h("span", { class: "grow" }, what),
        ...formats.map(([label, path]) => {
          const made = button(label, null, () => this.save(made, path, name));
          made.setAttribute("aria-label", say("save.as", { what, format: label }));
          this.buttons.push({ made, points: path === "points" });
          return made;
        }));
    });
    const films = ROWS.findIndex(([key]) => key === "film");
    rows.splice(films + 1, 0, h("label", { class: "row save-option", for: "annotated" }, this.annotated, h("span", {}, say("save.annotated"))));
    this.note = h("p", { class: "hint", role: "status" });
    this.element = h("div", { class: "saving" }, ...rows, this.note);
  }

  set(state) {
    const dragged = Boolean(state.edit.drag) && !state.jobs.drag && !state.jobs.film;
    for (const { made, points } of this.buttons) made.disabled = points ? !state.edit.points.length : !dragged;
    this.annotated.disabled = !dragged;
    if (!this.making) this.note.textContent = dragged || state.jobs.drag ? "" : say("save.nothing");
    this.note.hidden = !this.note.textContent;
  }

  /** Save the photo as one mostly wants it. @param {HTMLElement} made the button that is busy meanwhile */
  photo(made) {
    const [, [, [, path]], name] = ROWS[0];
    return this.save(made, path, name);
  }

  async save(made, path, what) {
    if (this.making) return;
    const { id, name } = this.state();
    const film = path.startsWith("animation");
    const drawn = film && this.annotated.checked;
    this.making = true;
    made.setAttribute("aria-busy", "true");
    if (film) this.note.textContent = say("save.making");
    this.note.hidden = !this.note.textContent;
    const saved = await attempt(async () => {
      const answer = await ask("GET", place(id, `/save/${path}${drawn ? "&annotated=true" : ""}`));
      return { data: await read(answer, "blob"), suffix: answer.headers.get("X-Suffix") };
    });
    made.removeAttribute("aria-busy");
    this.making = false;
    this.set(this.state());
    if (!saved) return;
    saveAs(saved.data, `${name}-${what}${drawn ? "-with-points" : ""}.${saved.suffix}`);
  }
}
