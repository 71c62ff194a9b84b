// What keys do on a photo's page, and the card that says so.

import { button, h } from "./dom.js";
import { say } from "./say.js";

const CARD = [
  ["P", "tool.points.title"], ["A", "tool.area.title"], ["M", "tool.hand.title"],
  ["[  ]", "keys.brush"], ["Space", "keys.start"], ["C", "hold.title"], ["H", "keys.hide"], ["F", "view.network.title"],
  ["+  −  0", "keys.zoom"], ["Ctrl+Z", "undo"], ["Ctrl+Shift+Z", "redo"], ["← ↑ → ↓", "keys.arrows"], ["Delete", "keys.delete"],
  ["Esc", "keys.escape"], ["?", "keys.title"],
];

/** Listens to keys for as long as the page is shown. */
export class Keys {
  /** @param {import("./photo.js").PhotoPage} page */
  constructor(page) {
    this.page = page;
    this.down = (event) => this.pressed(event);
    this.up = (event) => { if (event.key.toLowerCase() === "c") page.hold(false); };
    document.addEventListener("keydown", this.down);
    document.addEventListener("keyup", this.up);
  }

  destroy() {
    document.removeEventListener("keydown", this.down);
    document.removeEventListener("keyup", this.up);
  }

  pressed(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector("dialog[open]") || target.closest("input:not([type=checkbox]):not([type=range]), select, textarea")) return;
    const { page } = this;
    const name = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      const pressed = name === "z" ? (event.shiftKey ? page.toolbar.redo : page.toolbar.undo) : name === "y" ? page.toolbar.redo : null;
      if (!pressed) return;
      event.preventDefault();
      pressed.click();
      return;
    }
    if (event.altKey) return;
    const actions = {
      c: () => page.hold(true),
      p: () => page.toolbar.tools.points.click(),
      a: () => page.toolbar.tools.area.click(),
      m: () => page.toolbar.tools.hand.click(),
      f: () => page.toolbar.network.click(),
      h: () => page.toggleMarks(),
      "[": () => page.area.resize(1 / 1.3),
      "]": () => page.area.resize(1.3),
      "+": () => page.viewport.zoomBy(1.4),
      "=": () => page.viewport.zoomBy(1.4),
      "-": () => page.viewport.zoomBy(1 / 1.4),
      0: () => page.viewport.fit(),
      "?": () => showKeys(),
      escape: () => { page.viewport.gestures.abort(); page.points.abort(); page.refresh(); },
    };
    if (name === " ") {
      if (target.closest("button, summary, a, input, [role=slider]")) return;
      event.preventDefault();
      page.bar.next();
    } else actions[name]?.();
  }
}

/** Show what the keys do. */
export function showKeys() {
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "card", "aria-labelledby": "keys-title", onclose: () => dialog.remove(),
    onclick: (event) => { if (event.target === dialog) dialog.close(); } },
  h("div", { class: "drawer-head" }, h("h2", { id: "keys-title" }, say("keys.title")), button(say("close"), "close", () => dialog.close(), { bare: true })),
  h("dl", { class: "keys" }, ...CARD.flatMap(([keys, key]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, say(key))]))));
  document.body.append(dialog);
  dialog.showModal();
}
