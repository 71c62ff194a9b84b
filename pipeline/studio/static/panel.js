// What lies beside the picture: sliders, points, saving, the area, and the face itself.

import { button, h } from "./dom.js";
import { jsonButton } from "./files.js";
import { chooseNetwork, networkWords } from "./networks.js";
import { say } from "./say.js";

/** The panel of a photo's page. */
export class Panel {
  /** @param {import("./photo.js").PhotoPage} page */
  constructor(page) {
    this.page = page;
    const { points } = page;
    this.add = button(say("points.add"), "plus", () => { page.setTool("points"); points.add(); }, { title: say("points.add.title") });
    this.clear = button(say("points.clear"), "close", () => points.clear());
    const words = { name: say("points.load"), title: say("points.load.title"), no: (name) => say("points.load.no", { name }) };
    const [load, file] = jsonButton(words, (content) => typeof content === "object", (content) => page.act("POST", "/points/file", content));
    this.load = load;
    this.pointsHint = h("p", { class: "hint" }, say("points.hint"));
    const tracks = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: "tracks", checked: true,
      onchange: () => { points.showTracks = tracks.checked; points.render(); } }));
    this.tracks = h("label", { class: "row", for: "tracks" }, tracks, h("span", {}, say("points.tracks")));
    this.again = button(say("face.again"), "photo", () => page.chooseFace(), { title: say("face.again.title") });
    this.network = button("", "network", () => this.chooseNetwork(), { title: say("network.change"), kind: "wide" });
    this.quality = h("p", { class: "hint" });
    this.learning = new Learning();
    this.controls = section("controls", page.named.element);
    this.sections = [
      this.controls,
      section("points", page.pointsList.element, this.pointsHint, h("div", { class: "row wrap pairs" }, this.add, this.clear, this.load, file), this.tracks),
      section("save", page.saving.element),
      folded("area", page.area.element),
      folded("face", this.quality, h("div", { class: "stack" }, this.again, this.network)),
    ];
    this.networkOfChoice = button("", "network", () => this.chooseNetwork(), { title: say("network.change"), kind: "wide quiet" });
    this.choosing = h("div", { class: "choice-network" }, this.networkOfChoice);
    this.element = h("aside", { class: "panel", "aria-label": say("panel") }, page.choosing.element, this.choosing, this.learning.element, ...this.sections);
  }

  chooseNetwork() {
    const { page } = this;
    return chooseNetwork({ now: page.state.network, anew: Boolean(page.state.made.align), take: (network) => page.act("POST", "/network", { network }) });
  }

  /** Bring a section to the eye. @param {string} about */
  open(about) {
    /** @type {HTMLDetailsElement} */ (this.sections.find((each) => each.dataset.about === about)).open = true;
  }

  refresh() {
    const { state, isChoosing: choosing, busy, points, named } = this.page;
    const { prepare } = state.jobs;
    for (const each of this.sections) each.hidden = choosing;
    this.controls.hidden = choosing || !named.known;
    this.choosing.hidden = !choosing;
    this.learning.element.hidden = !prepare || choosing || !this.learning.drawn;
    this.add.disabled = points.locked;
    this.load.disabled = busy || points.locked;
    this.clear.disabled = points.locked || !points.pairs.length;
    this.pointsHint.hidden = points.pairs.length > 0;
    this.tracks.hidden = !points.pairs.some(({ track }) => track.length > 1);
    this.again.disabled = busy;
    for (const each of [this.network, this.networkOfChoice]) {
      each.disabled = busy || Boolean(prepare);
      each.querySelector("span").textContent = say("network.is", { name: networkWords(state.network).title });
    }
    const psnr = state.fidelity.tune?.after?.psnr;
    this.quality.textContent = psnr ? say("face.quality", { decibels: psnr, close: state.close_psnr }) : "";
    this.quality.hidden = !psnr;
  }
}

const section = (about, ...content) => h("section", { "data-about": about }, h("h2", {}, say(`panel.${about}`)), ...content);

const folded = (about, ...content) => h("details", { class: "section", "data-about": about }, h("summary", {}, say(`panel.${about}`)), ...content);

/** The network's picture of the face, while it learns it. */
class Learning {
  constructor() {
    this.drawn = false;
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "live", role: "img", "aria-label": say("learning") }));
    this.element = h("section", { class: "learning", hidden: true }, this.canvas, h("p", { class: "hint" }, say("learning")));
  }

  draw(bitmap) {
    this.drawn = true;
    this.canvas.width = bitmap.width;
    this.canvas.height = bitmap.height;
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    this.element.hidden = false;
  }
}
