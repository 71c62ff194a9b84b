// Projection and tuning as they run: the live picture, the stage, the time left.

import { attempt, json, pictureUrl, place } from "./api.js";
import { button, h } from "./dom.js";
import { STAGES, timeLeft } from "./words.js";

const ORDER = ["align", "invert", "tune"];

/** Shows a photo being prepared. */
export class Prepare {
  /** @param {any} app @param {any} state */
  constructor(app, state) {
    this.app = app;
    this.target = /** @type {HTMLImageElement} */ (h("img", { alt: "The face in your photo", hidden: true }));
    this.live = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "live", role: "img", "aria-label": "The network's picture of it, live" }));
    this.rows = Object.fromEntries(ORDER.map((stage) => [stage, this.row(stage)]));
    this.cancel = button("Cancel", "stop", () => {
      this.cancel.disabled = true;
      attempt(() => json("POST", place(this.state.id, "/job"), { action: "stop" }));
    });
    this.more = h("p", { class: "hint", "aria-live": "polite" });
    this.element = h("div", { class: "preparing" },
      h("div", { class: "pair" },
        h("figure", {}, h("div", { class: "square" }, this.target), h("figcaption", {}, "Your photo")),
        h("figure", {}, h("div", { class: "square" }, this.live), h("figcaption", {}, "The network’s picture"))),
      h("ol", { class: "stages" }, ...ORDER.map((stage) => this.rows[stage].element)),
      this.more, h("div", { class: "row centre" }, this.cancel));
    this.set(state);
  }

  row(stage) {
    const bar = /** @type {HTMLProgressElement} */ (h("progress", { max: 1, value: 0, "aria-label": STAGES[stage] }));
    const note = h("span", { class: "hint" });
    const element = h("li", {}, h("span", { class: "stage-name" }, STAGES[stage]), note, bar);
    return { bar, note, element };
  }

  set(state) {
    this.state = state;
    if (state.made.align) {
      this.target.hidden = false;
      const source = pictureUrl(state.id, "aligned", state.made.align);
      if (!this.target.src.endsWith(source)) this.target.src = source;
    }
    this.progress(state.job);
  }

  progress(job) {
    if (!job) return;
    const main = ORDER.includes(job.stage) ? job.stage : ORDER.find((stage) => !this.state.made[stage]) ?? "align";
    const at = ORDER.indexOf(main);
    ORDER.forEach((stage, i) => {
      const { bar, note, element } = this.rows[stage];
      element.className = i < at ? "done" : i === at ? "now" : "later";
      if (i < at) { bar.value = 1; note.textContent = "Done"; }
      else if (i > at) { bar.value = 0; note.textContent = ""; }
      else if (job.stage === stage && job.total) {
        bar.value = job.step / job.total;
        note.textContent = [`Step ${job.step} of ${job.total}`, timeLeft(job.seconds_left)].filter(Boolean).join(", ");
      } else {
        bar.removeAttribute("value");
        note.textContent = "Getting ready …";
      }
    });
    const aside = !ORDER.includes(job.stage) && job.stage ? STAGES[job.stage] ?? job.stage : "";
    this.more.textContent = job.ending ? "Stopping …" : aside && `${aside} ${job.total > 1 ? `${Math.round((100 * job.step) / job.total)} %` : "…"}`;
  }

  message(message) {
    if (message.type === "job") this.progress(message.job);
  }

  frame(_head, bitmap) {
    this.live.width = bitmap.width;
    this.live.height = bitmap.height;
    this.live.getContext("2d").drawImage(bitmap, 0, 0);
  }
}
