// The row below the picture: what can be done next, and what goes on.

import { button, h } from "./dom.js";
import { say } from "./say.js";
import { statusOf } from "./status.js";

/** At most one announcement in so many milliseconds for who hears the page. */
const ANNOUNCE = 1000;

/** Start, pause, stop, save; one sentence, and how far it is. */
export class Bar {
  /** @param {import("./photo.js").PhotoPage} page */
  constructor(page) {
    this.page = page;
    const space = { keys: say("key.space") };
    this.start = button(say("start"), "play", () => page.start(), { ...space, kind: "primary" });
    this.pause = button(say("pause"), "pause", () => page.steer("pause"), space);
    this.continue = button(say("continue"), "play", () => page.steer("continue"), { ...space, kind: "primary" });
    this.stop = button(say("stop"), "stop", () => page.steer("stop"));
    this.cancel = button(say("cancel"), "close", () => page.steer("stop"));
    this.save = button(say("save"), "save", () => page.saving.photo(this.save), { kind: "save" });
    this.hold = button(say("hold"), "compare", () => {}, { keys: say("key.hold"), title: say("hold.title"), kind: "hold" });
    this.listen();
    this.status = h("p", { class: "status" });
    this.hint = h("p", { class: "hint status-hint", hidden: true });
    this.announcer = h("p", { class: "unseen", role: "status" });
    this.progress = /** @type {HTMLProgressElement} */ (h("progress", { max: 1, value: 0, "aria-label": say("progress"), hidden: true }));
    this.element = h("div", { class: "controls" },
      h("div", { class: "row buttons" }, this.start, this.pause, this.continue, this.stop, this.cancel, this.save, this.hold),
      h("div", { class: "grow state" }, this.status, this.progress, this.hint, this.announcer));
  }

  /** The picture as it was is shown for as long as a button is held. */
  listen() {
    const { hold, page } = this;
    const pressed = (event) => event.key === "Enter" || event.key === " ";
    for (const [name, on] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["pointercancel", false]]) {
      hold.addEventListener(name, () => page.hold(on));
    }
    hold.addEventListener("keydown", (event) => {
      if (!pressed(event)) return;
      event.preventDefault();
      event.stopPropagation();
      page.hold(true);
    });
    hold.addEventListener("keyup", (event) => { if (pressed(event)) page.hold(false); });
  }

  destroy() {
    clearTimeout(this.announcing);
  }

  /** Do what comes next: start, pause or go on. */
  next() {
    [this.start, this.pause, this.continue].find((each) => !each.hidden)?.click();
  }

  refresh() {
    const { state, isChoosing: choosing, busy, points, named, choosing: { marks } } = this.page;
    const { drag, film, prepare } = state.jobs;
    this.start.disabled = !(points.anyMoves || named.any) || points.locked;
    this.start.querySelector("span").textContent = say(state.edit.drag ? "goOn" : "start");
    // When nothing is left to go, saving comes next.
    const arrived = Boolean(state.edit.drag) && !busy && this.start.disabled;
    this.start.hidden = Boolean(drag) || choosing || arrived;
    this.save.classList.toggle("primary", arrived);
    this.save.hidden = !state.edit.drag || busy || choosing;
    this.pause.hidden = !drag || drag.paused;
    this.continue.hidden = !drag || !drag.paused;
    this.stop.hidden = !drag;
    this.pause.disabled = this.stop.disabled = !drag || drag.ending || (drag.stage !== null && drag.stage !== "drag");
    this.cancel.hidden = !(prepare && !drag) && !film;
    this.cancel.disabled = Boolean(prepare?.ending || film?.ending);
    this.hold.hidden = choosing || !state.face || !state.edit.drag;
    this.tell(statusOf(state, { pending: Boolean(points.pending), choosing, marks: marks?.length ?? null }));
  }

  /** @param {import("./status.js").Status} status */
  tell({ text, tone, share, hint }) {
    this.status.textContent = text;
    this.status.dataset.tone = tone;
    this.hint.textContent = hint ?? "";
    this.hint.hidden = !hint;
    this.progress.hidden = share === undefined;
    if (share === null || share === undefined) this.progress.removeAttribute("value");
    else this.progress.value = share;
    this.saying = text;
    this.announcing ??= setTimeout(() => {
      this.announcing = null;
      if (this.announcer.textContent !== this.saying) this.announcer.textContent = this.saying;
    }, ANNOUNCE);
  }
}
