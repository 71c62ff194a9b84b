// The first page: drop photos, or open an earlier one.

import { attempt, json, pictureUrl, place } from "./api.js";
import { button, h, icon, s, toast } from "./dom.js";
import { NewPhotosNetwork } from "./networks.js";
import { LANGUAGES, language, say, speak } from "./say.js";

/** What will happen, for those who are here for the first time. */
const HOW = ["photo", "points", "save"];

/** Shows the drop zone and the list of photos. */
export class Home {
  /** @param {{about: any, open: (id: string) => void}} app */
  constructor(app) {
    this.app = app;
    this.reading = 0;
    this.input = /** @type {HTMLInputElement} */ (h("input", { type: "file", accept: "image/*,.heic,.heif,.avif", id: "file", multiple: true, class: "unseen",
      onchange: () => { this.upload([...this.input.files]); this.input.value = ""; } }));
    this.words = h("span", { class: "drop-words" }, say("home.drop"));
    this.network = new NewPhotosNetwork(app.about.network);
    this.drop = h("label", { for: "file", class: "drop" },
      icon("photo"), this.words, h("span", { class: "hint" }, say(app.about.local ? "home.stays" : "home.stays.there")));
    this.demo = h("button", { type: "button", class: "example", onclick: () => this.try() },
      h("img", { src: "/static/example.jpg", alt: "", width: 144, height: 72 }),
      h("span", { class: "stack" }, h("span", { class: "hint" }, say("home.noPhoto")), h("span", { class: "link" }, say("home.demo"))));
    this.steps = h("ol", { class: "how" }, ...HOW.map((key) => h("li", {}, drawing(key), h("h3", {}, say(`how.${key}`)), h("p", {}, say(`how.${key}.text`)))));
    this.list = h("ul", { class: "photos" });
    this.earlier = h("section", { hidden: true, "aria-labelledby": "earlier" },
      h("h2", { id: "earlier" }, say("home.earlier")), this.list);
    this.element = h("div", { class: "home" },
      h("div", { class: "welcome" }, h("h1", { class: "big" }, say("home.title")), h("p", {}, say("home.subtitle"))),
      h("div", { class: "begin" }, this.input, this.drop, this.demo), this.steps, this.earlier,
      h("footer", { class: "foot" }, this.network.element, languages()));
    for (const name of ["dragenter", "dragover"]) {
      this.element.addEventListener(name, (event) => { event.preventDefault(); this.drop.classList.add("over"); });
    }
    for (const name of ["dragleave", "drop"]) this.element.addEventListener(name, () => this.drop.classList.remove("over"));
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      this.upload([...event.dataTransfer.files]);
    });
    this.refresh();
  }

  listChanged() {
    return this.refresh();
  }

  async refresh() {
    let photos;
    try {
      photos = await json("GET", "workspaces");
    } catch { /* the bar at the top says that it does not answer */ }
    if (!photos) return;
    const known = JSON.stringify(photos.map((photo) => [photo.id, photo.version, this.said(photo)]));
    if (known === this.known) return;
    this.known = known;
    this.earlier.hidden = photos.length === 0;
    this.steps.hidden = photos.length > 0;
    this.list.replaceChildren(...photos.map((photo) => this.card(photo)));
  }

  card(photo) {
    const more = button(say("photo.more", { name: photo.name }), "more", () => this.menu(photo), { bare: true, kind: "card-more" });
    return h("li", {},
      h("a", { href: `#${encodeURIComponent(photo.id)}`, class: "photo-card" },
        thumbnails(photo),
        h("span", { class: "name" }, photo.name),
        h("span", { class: "hint" }, this.said(photo))),
      more);
  }

  /** How a photo is, in a few words. */
  said(photo) {
    const jobs = Object.values(photo.jobs);
    const running = jobs.find((job) => job.running);
    if (running) return say(`card.${running.kind}`);
    if (jobs.some((job) => job.paused)) return say("status.paused");
    if (jobs.length) return say("card.waits", { count: Math.max(...jobs.map((job) => job.ahead.length), 1) });
    if (photo.edited) return say("card.edited");
    if (photo.ready) return say("card.ready");
    return say(photo.begun ? "card.unfinished" : "card.choose");
  }

  /** What can be done with a photo that lies here. */
  menu(photo) {
    const close = () => dialog.close();
    const name = /** @type {HTMLInputElement} */ (h("input", { type: "text", id: "photo-name", value: photo.name, maxlength: 60 }));
    const rename = async () => {
      if (await attempt(() => json("POST", place(photo.id, "/rename"), { name: name.value }))) close();
    };
    const remove = async () => {
      if (await attempt(() => json("DELETE", place(photo.id)))) close();
    };
    const sure = h("div", { class: "row wrap", hidden: true }, h("p", {}, say("photo.delete.sure", { name: photo.name })),
      button(say("photo.delete.yes"), "trash", remove, { kind: "danger" }), button(say("cancel"), null, () => { sure.hidden = true; }));
    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "card", "aria-labelledby": "menu-title", onclose: () => dialog.remove(),
      onclick: (event) => { if (event.target === dialog) close(); } },
    h("div", { class: "drawer-head" }, h("h2", { id: "menu-title" }, photo.name), button(say("close"), "close", close, { bare: true })),
    h("form", { class: "menu", onsubmit: (event) => { event.preventDefault(); rename(); } },
      h("label", { for: "photo-name" }, say("photo.name")), h("div", { class: "row" }, name, button(say("photo.rename"), "rename", rename)),
      this.app.about.local ? button(say("photo.reveal"), "folder", () => attempt(() => json("POST", place(photo.id, "/reveal"))), { kind: "wide" }) : null,
      button(say("photo.delete"), "trash", () => { sure.hidden = false; }, { kind: "wide" }), sure)));
    document.body.append(dialog);
    dialog.showModal();
  }

  async try() {
    if (this.trying) return;
    this.trying = true;
    const made = await attempt(() => json("POST", `demo?${this.asked()}`));
    this.trying = false;
    if (made) this.app.open(made.id);
  }

  /** What is asked for with a new photo. */
  asked(more = {}) {
    return new URLSearchParams({ ...more, network: this.network.now });
  }

  /** Take photos; the page of the only one is opened. @param {File[]} files */
  async upload(files) {
    const limit = this.app.about.max_upload;
    for (const file of files.filter((each) => each.size > limit)) {
      toast(say("home.tooLarge", { name: file.name, megabytes: Math.round(limit / 2 ** 20) }), "error");
    }
    const fitting = files.filter((each) => each.size <= limit);
    const made = await Promise.all(fitting.map((file) => this.take(file)));
    if (files.length === 1 && made[0]) this.app.open(made[0].id);
  }

  async take(file) {
    this.reading += 1;
    this.drop.classList.add("busy");
    this.words.textContent = say("home.reading", { name: file.name });
    const made = await attempt(() => json("POST", `workspaces?${this.asked({ name: file.name.slice(-200) })}`, file));
    this.reading -= 1;
    if (!this.reading) {
      this.drop.classList.remove("busy");
      this.words.textContent = say("home.drop");
    }
    return made;
  }
}

/** What has become of a photo: its left half as it was, if it has been edited. */
function thumbnails(photo) {
  const picture = (name, version, attributes) => h("img", { src: pictureUrl(photo.id, name, version), alt: "", loading: "lazy", ...attributes });
  return h("span", { class: "thumbs" }, picture("thumbnail", photo.version, {}),
    photo.edited ? picture("thumbnail-before", photo.version, { class: "was" }) : null);
}

/** A face in a frame, drawn with a few lines: as it is, with a point on it, and as it has become. */
function drawing(kind) {
  const smiles = kind === "save";
  const parts = [
    s("rect", { x: 4, y: 4, width: 112, height: 84, rx: 8, class: "frame" }),
    s("path", { d: "M60 16c17 0 25 12 25 27 0 17-11 33-25 33S35 60 35 43c0-15 8-27 25-27z", class: "face" }),
    s("path", { d: "M47 41h6M67 41h6M60 44v9l-3 1", class: "line" }),
    s("path", { d: smiles ? "M45 58c4 9 26 9 30 0" : "M48 61c5 3 19 3 24 0", class: "line" }),
  ];
  if (kind === "points") parts.push(s("path", { d: "M72 61l11-7", class: "way" }), s("circle", { cx: 72, cy: 61, r: 4.5, class: "dot" }), s("circle", { cx: 85, cy: 53, r: 4.5, class: "ring" }));
  if (smiles) parts.push(s("path", { d: "M103 30v22m-7-7 7 7 7-7M95 60h16", class: "arrow" }));
  return s("svg", { viewBox: "0 0 120 92", class: "drawing", "aria-hidden": "true" }, ...parts);
}

/** The languages that the page speaks. */
function languages() {
  const select = h("select", { id: "language", onchange: () => speak(select.value) },
    ...Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, selected: code === language, lang: code }, name)));
  return h("p", { class: "languages" }, h("label", { for: "language" }, say("language")), " ", select);
}
