// As in that photo: another one is taken, and the sliders follow what its face shows.

import { button, h } from "./dom.js";
import { say } from "./say.js";

const STEP = 0.05;

/** A button for another photo; once there is one, which parts of it are taken over, and how much. */
export class Likeness {
  /**
   * @param {(photo: File, parts: string[], strength: number) => Promise<any>} like makes an edit of it
   * @param {{parts: string[], usual: string[], strongest: number}} about what there is to take over, what is unless a person says otherwise, and the most
   */
  constructor(like, { parts, usual, strongest }) {
    this.like = like;
    /** @type {File|null} */
    this.photo = null;
    this.locked = true;
    const field = /** @type {HTMLInputElement} */ (h("input", { type: "file", accept: "image/*,.heic,.heif", class: "unseen", tabindex: "-1", "aria-label": say("like.title"),
      onchange: () => { this.photo = field.files[0] ?? this.photo; field.value = ""; this.ask(); } }));
    this.button = button(say("like"), "photo", () => field.click(), { title: say("like.title") });
    this.boxes = parts.map((part) => /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: `like-${part}`, checked: usual.includes(part), "data-part": part, onchange: () => this.ask() })));
    this.strength = /** @type {HTMLInputElement} */ (h("input", { type: "range", id: "like-strength", min: 0, max: strongest, step: STEP, value: 1, onchange: () => this.ask() }));
    const labels = this.boxes.map((box) => h("label", { class: "row", for: box.id }, box, h("span", {}, say(`like.${box.dataset.part}`))));
    this.choice = h("fieldset", { class: "likeness", hidden: true }, h("legend", {}, say("like.parts")), h("div", { class: "row wrap" }, ...labels),
      h("div", { class: "sliders" }, h("div", { class: "row" }, h("label", { for: "like-strength" }, say("like.strength")), this.strength)));
    this.element = h("div", {}, field, this.choice);
  }

  /** Take over what is chosen of the photo; with no part chosen, nothing. */
  async ask() {
    this.choice.hidden = !this.photo;
    const parts = this.boxes.filter((box) => box.checked).map((box) => box.dataset.part);
    if (!this.photo || this.locked || !parts.length) return;
    if (!(await this.like(this.photo, parts, Number(this.strength.value)))) this.forget();
  }

  /** The face that it was for is another now. */
  forget() {
    this.photo = null;
    this.choice.hidden = true;
  }

  lock(locked) {
    this.locked = locked;
    this.button.disabled = locked;
    for (const field of [...this.boxes, this.strength]) field.disabled = locked;
  }
}
