// Named controls of the face: a slider each, from the studio's table. What they do is shown at once,
// roughly; a drag makes it so.

import { button, h } from "./dom.js";
import { jsonButton, saveAs } from "./files.js";
import { say, signed } from "./say.js";

/** What is seen without opening the rest. */
const FIRST = ["smile", "mouth", "eyes", "brows", "turn", "nod"];

const STEP = 0.05;

/** Sliders for the controls of the face that is shown, and presets of them. */
export class Controls {
  /**
   * @param {(amounts: Record<string, number>) => Promise<any>} keep makes an edit of amounts
   * @param {(amounts: Record<string, number>) => Promise<any>} ask for the field that shows them
   * @param {() => void} changed called when what they show is another
   * @param {import("./likeness.js").Likeness} likeness what is taken over from another photo
   */
  constructor(keep, ask, changed, likeness) {
    Object.assign(this, { keep, ask, changed, likeness });
    /** @type {Record<string, number>} */
    this.amounts = {};
    /** How the photo moves by them. @type {import("./elastic.js").Field|null} */
    this.field = null;
    this.rows = new Map();
    this.locked = true;
    /** Whether it is known how far this face can go. */
    this.ready = false;
    this.first = h("div", { class: "sliders" });
    this.more = h("div", { class: "sliders" });
    this.resetButton = button(say("controls.reset"), "reset", () => this.set({}, true));
    this.saveButton = button(say("controls.save"), "save", () => this.save());
    const isPreset = ({ version, controls }) => version === 1 && typeof controls === "object";
    const words = { name: say("controls.load"), title: say("controls.load.title"), no: (name) => say("controls.load.no", { name }) };
    const [loadButton, file] = jsonButton(words, isPreset, ({ controls }) => this.keep(controls));
    this.loadButton = loadButton;
    this.rest = h("details", { hidden: true }, h("summary", {}, say("controls.more")), this.more);
    this.element = h("div", { class: "controls-list" }, this.first, this.rest,
      h("div", { class: "row wrap pairs" }, this.likeness.button, this.resetButton, this.saveButton, this.loadButton, file), this.likeness.element);
    this.build(FIRST.map((name) => ({ name, low: -1, high: 1 })));
  }

  /** Whether there is, or may be, a face that they can move. */
  get known() {
    return this.rows.size > 0;
  }

  /** Whether any of them is set. */
  get any() {
    return Object.values(this.amounts).some((amount) => amount !== 0);
  }

  /** How far the face can go. @param {{name: string, low: number, high: number}[]} ranges */
  setRanges(ranges) {
    this.likeness.forget();
    this.ready = true;
    this.build(ranges);
    if (this.any) this.show();
  }

  build(ranges) {
    this.rows.clear();
    this.first.replaceChildren();
    this.more.replaceChildren();
    for (const { name, low, high } of ranges) {
      const id = `control-${name}`;
      const label = say(`control.${name}`);
      const slider = /** @type {HTMLInputElement} */ (h("input", { type: "range", class: "both-ways", id, min: Math.min(low, 0), max: Math.max(high, 0), step: STEP, value: 0,
        oninput: () => this.move(name, Number(slider.value)), onchange: () => this.keep(this.amounts) }));
      const value = button("", null, () => { this.move(name, 0); this.keep(this.amounts); slider.focus(); }, { kind: "plain value", title: say("controls.back", { name: label }) });
      this.rows.set(name, { slider, value, label, fixed: high - low < STEP });
      (FIRST.includes(name) ? this.first : this.more).append(h("div", { class: "row" }, h("label", { for: id }, label), slider, value));
    }
    this.rest.hidden = !this.more.children.length;
    this.refresh();
  }

  move(name, amount) {
    this.amounts = { ...this.amounts, [name]: amount };
    this.show();
  }

  /** Take over what the studio says. @param {Record<string, number>} amounts @param {boolean} [keep] whether that is an edit */
  set(amounts, keep = false) {
    const same = JSON.stringify(amounts) === JSON.stringify(this.amounts);
    this.amounts = { ...amounts };
    this.refresh();
    if (!same) this.show();
    if (keep) this.keep(this.amounts);
  }

  lock(locked) {
    this.locked = locked;
    this.refresh();
  }

  refresh() {
    for (const [name, { slider, value, label, fixed }] of this.rows) {
      const amount = this.amounts[name] ?? 0;
      if (Number(slider.value) !== amount) slider.value = String(amount);
      slider.disabled = this.locked || !this.ready || fixed;
      value.disabled = slider.disabled;
      value.classList.toggle("nothing", amount === 0);
      value.tabIndex = amount === 0 ? -1 : 0;
      const shown = signed(Math.round(100 * amount));
      value.querySelector("span").textContent = shown;
      if (amount === 0) value.removeAttribute("aria-label");
      else value.setAttribute("aria-label", `${shown}, ${say("controls.back", { name: label })}`);
      slider.setAttribute("aria-valuetext", shown);
      fill(slider, amount);
    }
    this.resetButton.disabled = this.locked || !this.any;
    this.saveButton.disabled = !this.any;
    this.loadButton.disabled = this.locked || !this.ready || !this.rows.size;
    this.likeness.lock(this.locked || !this.ready || !this.rows.size);
  }

  /** Ask what is seen with them; one question at a time, the last of those that come meanwhile. */
  async show() {
    this.refresh();
    this.asked = true;
    if (this.asking) return;
    this.asking = true;
    while (this.asked) {
      this.asked = false;
      this.field = this.any ? await this.ask(this.amounts) : null;
      this.changed();
    }
    this.asking = false;
  }

  save() {
    const text = JSON.stringify({ version: 1, controls: this.amounts }, null, 1);
    saveAs(new Blob([text], { type: "application/json" }), "preset.json");
  }
}

/** Colour a slider's track from the middle to where it stands. */
function fill(slider, amount) {
  const [low, high] = [Number(slider.min), Number(slider.max)];
  const share = (value) => (high > low ? (100 * (value - low)) / (high - low) : 50);
  const ends = [share(0), share(amount)].sort((a, b) => a - b);
  slider.style.setProperty("--zero", `${share(0)}%`);
  slider.style.setProperty("--from", `${ends[0]}%`);
  slider.style.setProperty("--to", `${ends[1]}%`);
}
