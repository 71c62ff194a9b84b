// Taking things home: the picture, the film, the points.

import { ask, attempt, place, read } from "./api.js";
import { button, h } from "./dom.js";

/** What can be saved: a row each, and in it the formats. The last part of a file's name comes last. */
const ROWS = [
  ["The photo", [["PNG", "picture?format=png"], ["JPEG", "picture?format=jpg"]], "edited"],
  ["The face only", [["PNG", "picture?format=png&space=crop"], ["JPEG", "picture?format=jpg&space=crop"]], "face"],
  ["The film", [["MP4", "animation?format=mp4"], ["WebP", "animation?format=webp"], ["GIF", "animation?format=gif"]], "film"],
  ["The points", [["File", "points"]], "points"],
];

/** The section with everything that can be saved. */
export class Saving {
  /** @param {() => any} state */
  constructor(state) {
    this.state = state;
    this.annotated = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: "annotated" }));
    this.buttons = [];
    const rows = ROWS.map(([what, formats, name]) => h("div", { class: "save-row", role: "group", "aria-label": what },
      h("span", { class: "grow" }, what),
      ...formats.map(([label, path]) => {
        const made = button(label, null, () => this.save(made, path, name));
        made.setAttribute("aria-label", `${what}, ${label}`);
        made.title = `Save: ${what}, ${label}`;
        this.buttons.push({ made, points: path === "points" });
        return made;
      })));
    const films = ROWS.findIndex(([, formats]) => formats[0][1].startsWith("animation"));
    rows.splice(films + 1, 0, h("label", { class: "row save-option", for: "annotated" }, this.annotated, h("span", {}, "with points and tracks drawn in")));
    this.note = h("p", { class: "hint", role: "status" });
    this.element = h("div", { class: "saving" }, ...rows, this.note);
  }

  set(state) {
    const dragged = Boolean(state.edit.drag) && !state.job;
    for (const { made, points } of this.buttons) made.disabled = points ? !state.edit.points.length : !dragged;
    this.annotated.disabled = !dragged;
    if (!this.making) this.note.textContent = dragged || state.job ? "" : "Drag something first.";
    this.note.hidden = !this.note.textContent;
  }

  async save(made, path, what) {
    if (this.making) return;
    const { id, name } = this.state();
    const film = path.startsWith("animation");
    const drawn = film && this.annotated.checked;
    this.making = true;
    made.setAttribute("aria-busy", "true");
    if (film) this.note.textContent = "Making the film …";
    this.note.hidden = !this.note.textContent;
    const saved = await attempt(async () => {
      const answer = await ask("GET", place(id, `/save/${path}${drawn ? "&annotated=true" : ""}`));
      return { data: await read(answer, "blob"), suffix: answer.headers.get("X-Suffix") };
    });
    made.removeAttribute("aria-busy");
    this.making = false;
    this.set(this.state());
    if (!saved) return;
    const address = URL.createObjectURL(saved.data);
    const link = h("a", { href: address, download: `${name}-${what}${drawn ? "-with-points" : ""}.${saved.suffix}` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }
}
