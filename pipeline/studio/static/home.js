// The first page: drop a photo, or open an earlier one.

import { attempt, json, pictureUrl, sentence } from "./api.js";
import { h, icon, toast } from "./dom.js";

const STATES = {
  result: "Edited", drag: "Edited", tune: "Ready to drag", invert: "Not finished", align: "Not finished",
};

/** What will happen, for those who are here for the first time. */
const HOW = [
  ["photo", "Choose a photo", "The face is found, and the network learns to draw it. That takes a few minutes."],
  ["point", "Set points", "Press on the face and drag to where that part should go. Paint what may change, if you like."],
  ["save", "Start, and save", "Watch it move, undo, try again. Take home the whole photo, or a film."],
];

/** Shows the drop zone and the list of photos. */
export class Home {
  /** @param {{about: any, open: (id: string) => void}} app */
  constructor(app) {
    this.app = app;
    this.input = /** @type {HTMLInputElement} */ (h("input", { type: "file", accept: "image/*,.heic,.heif,.avif", id: "file", class: "unseen",
      onchange: () => { if (this.input.files[0]) this.upload(this.input.files[0]); this.input.value = ""; } }));
    this.words = h("span", { class: "drop-words" }, "Drop a photo here, or choose one");
    this.drop = h("label", { for: "file", class: "drop" },
      icon("photo"), this.words, h("span", { class: "hint" }, "It stays on this computer."));
    this.demo = h("p", { class: "hint demo" }, "No photo at hand? ",
      h("button", { type: "button", class: "link", onclick: () => this.try() }, "Try it with a portrait by NASA"), ".");
    this.steps = h("ol", { class: "how" }, ...HOW.map(([picture, title, text]) => h("li", {}, icon(picture), h("h3", {}, title), h("p", {}, text))));
    this.list = h("ul", { class: "photos" });
    this.earlier = h("section", { hidden: true, "aria-labelledby": "earlier" },
      h("h2", { id: "earlier" }, "Earlier photos"), this.list);
    this.element = h("div", { class: "home" },
      h("div", { class: "welcome" }, h("h2", { class: "big" }, "Drag a face where you want it"),
        h("p", {}, "Say where points of the face should go, and watch it follow.")),
      h("div", { class: "begin" }, this.input, this.drop, this.demo), this.steps, this.earlier);
    for (const name of ["dragenter", "dragover"]) {
      this.element.addEventListener(name, (event) => { event.preventDefault(); this.drop.classList.add("over"); });
    }
    for (const name of ["dragleave", "drop"]) this.element.addEventListener(name, () => this.drop.classList.remove("over"));
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      const file = event.dataTransfer.files[0];
      if (file) this.upload(file);
    });
    this.refresh();
  }

  async refresh() {
    const photos = await attempt(() => json("GET", "workspaces"));
    if (!photos) return;
    this.earlier.hidden = photos.length === 0;
    this.steps.hidden = photos.length > 0;
    this.list.replaceChildren(...photos.map((photo) => h("li", {},
      h("a", { href: `#${encodeURIComponent(photo.id)}`, class: "photo-card" },
        h("img", { src: pictureUrl(photo.id, "thumbnail", photo.version), alt: "", loading: "lazy" }),
        h("span", { class: "name" }, photo.name),
        h("span", { class: "hint" }, Object.keys(photo.jobs).length ? "Working …" : STATES[photo.stage] ?? "Choose the face")))));
  }

  async try() {
    if (this.busy) return;
    this.busy = true;
    const made = await attempt(() => json("POST", "demo"));
    this.busy = false;
    if (made) this.app.open(made.id);
  }

  /** @param {File} file */
  async upload(file) {
    if (this.busy) return;
    if (file.size > this.app.about.max_upload) {
      toast(sentence(`${file.name} is larger than ${Math.round(this.app.about.max_upload / 2 ** 20)} MB: make it smaller first`), "error");
      return;
    }
    this.busy = true;
    this.drop.classList.add("busy");
    this.words.textContent = `Reading ${file.name} …`;
    const made = await attempt(() => json("POST", `workspaces?name=${encodeURIComponent(file.name.slice(-200))}`, file));
    this.busy = false;
    this.drop.classList.remove("busy");
    this.words.textContent = "Drop a photo here, or choose one";
    if (made) this.app.open(made.id);
  }

  message(message) {
    if (message.type === "list") this.refresh();
  }
}
