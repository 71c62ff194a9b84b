// The row over the picture: tools, history, what is shown, zoom.

import { button, h } from "./dom.js";
import { say } from "./say.js";

/** Whether there is a picture that the network has made of the face. */
export const networkHas = (state) => Boolean(state.face && (state.made.tune || state.made.drag || state.jobs.drag));

/** Buttons that change how a person works, and what is seen. */
export class Toolbar {
  /** @param {import("./photo.js").PhotoPage} page */
  constructor(page) {
    const { viewport } = page;
    const bare = { bare: true };
    this.page = page;
    this.tools = {
      points: button(say("tool.points"), "point", () => page.setTool("points"), { keys: "P", title: say("tool.points.title") }),
      area: button(say("tool.area"), "brush", () => page.setTool("area"), { keys: "A", title: say("tool.area.title") }),
      hand: button(say("tool.hand"), "hand", () => page.setTool("hand"), { keys: "M", title: say("tool.hand.title"), kind: "hand" }),
    };
    this.undo = button(say("undo"), "undo", () => page.step("undo"), { ...bare, keys: "Ctrl+Z" });
    this.redo = button(say("redo"), "redo", () => page.step("redo"), { ...bare, keys: "Ctrl+Shift+Z" });
    this.reset = button(say("reset"), "reset", () => page.step("reset"), bare);
    this.compare = button(say("compare"), "compare", () => page.setComparing(!page.comparing), { title: say("compare.title") });
    this.network = button(say("view.network"), "network", () => page.setView(page.view === "photo" ? "face" : "photo"), { keys: "F", title: say("view.network.title") });
    const group = (name, kind, ...buttons) => h("div", { class: `segment ${kind}`.trim(), role: "group", "aria-label": name }, ...buttons);
    this.element = h("div", { class: "toolbar", role: "toolbar", "aria-label": say("tools") },
      group(say("tool"), "", ...Object.values(this.tools)),
      group(say("history"), "", this.undo, this.redo, this.reset),
      group(say("view"), "views", this.compare, this.network),
      group(say("zoom"), "zooms",
        button(say("zoom.out"), "minus", () => viewport.zoomBy(1 / 1.4), { ...bare, keys: "-" }),
        button(say("zoom.face"), "fit", () => viewport.fit(), { ...bare, keys: "0" }),
        button(say("zoom.in"), "plus", () => viewport.zoomBy(1.4), { ...bare, keys: "+" })));
  }

  refresh() {
    const { state, isChoosing: choosing, busy, named, tool, comparing, view } = this.page;
    const { edit } = state;
    this.element.classList.toggle("idle", choosing);
    for (const each of [...Object.values(this.tools), this.compare]) each.disabled = choosing || !state.face;
    for (const [name, each] of Object.entries(this.tools)) each.setAttribute("aria-pressed", String(name === tool));
    this.compare.setAttribute("aria-pressed", String(comparing));
    this.network.setAttribute("aria-pressed", String(view === "face"));
    this.network.disabled = choosing || !networkHas(state);
    this.undo.disabled = busy || choosing || edit.undo === null;
    this.redo.disabled = busy || choosing || edit.redo === null;
    this.undo.title = titled("undo", edit.undo, "Ctrl+Z");
    this.redo.title = titled("redo", edit.redo, "Ctrl+Shift+Z");
    this.reset.disabled = busy || choosing || (!edit.drag && !edit.points.length && !edit.mask && !named.any);
  }
}

/** What a button undoes, and its key. */
function titled(key, edit, keys) {
  if (edit === null) return `${say(`${key}.nothing`)} (${keys})`;
  const what = edit.number === null ? say(`edit.${edit.what}`) : say(`edit.${edit.what}.one`, { number: edit.number });
  return `${say(`${key}.what`, { what })} (${keys})`;
}
