// Which network moves a face: the list that the studio gives, in plain words, to choose from.

import { Refused, json } from "./api.js";
import { button, h } from "./dom.js";
import { canSay, say } from "./say.js";

const KEPT = "realdrag-network";

/** What is known of networks, by their ids. @type {Map<string, any>} */
const known = new Map();

/** A network's name, and what a person gains and pays with it. @param {string} id */
export function networkWords(id) {
  if (canSay(`network.${id}.title`)) return { title: say(`network.${id}.title`), text: say(`network.${id}.text`) };
  const network = known.get(id);
  if (network?.kind !== "known") return { title: id, text: say("network.file") };
  const { title, resolution, licence } = network;
  return { title: say("network.known.title", { title, resolution }), text: say("network.known.text", { licence }) };
}

/** Ask which networks there are; gives their ids. No person asked for it: a message that is shown stays. */
export async function loadNetworks() {
  let listed = [];
  try {
    listed = await json("GET", "networks");
  } catch (error) {
    if (!(error instanceof Refused)) throw error; // the bar at the top says that it does not answer
  }
  for (const network of listed) known.set(network.id, network);
  return listed.map(({ id }) => id);
}

/**
 * Let a person choose a network.
 * @param {{now: string, anew: boolean, take: (id: string) => any}} asked the present one, and whether another makes something anew
 */
export async function chooseNetwork({ now, anew, take }) {
  const ids = await loadNetworks();
  let chosen = now;
  const close = () => dialog.close();
  const go = button(say("network.use"), null, () => { close(); take(chosen); }, { kind: "primary" });
  const choice = (id) => {
    const { title, text } = networkWords(id);
    const box = h("input", { type: "radio", name: "network", id: `network-${id}`, value: id, checked: id === now, "aria-describedby": `network-${id}-text`,
      onchange: () => { chosen = id; go.disabled = chosen === now; } });
    return h("div", { class: "network" }, box, h("label", { for: box.id }, title), h("p", { class: "hint", id: `network-${id}-text` }, text));
  };
  go.disabled = true;
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "card", "aria-labelledby": "network-title", onclose: () => dialog.remove(),
    onclick: (event) => { if (event.target === dialog) close(); } },
  h("div", { class: "drawer-head" }, h("h2", { id: "network-title" }, say("network.title")), button(say("close"), "close", close, { bare: true })),
  h("div", { class: "menu" },
    h("p", {}, say("network.what")),
    h("div", { class: "networks", role: "radiogroup", "aria-labelledby": "network-title" }, ...(ids.includes(now) ? ids : [now, ...ids]).map(choice)),
    anew ? h("p", { class: "note" }, say("network.anew")) : null,
    h("p", { class: "hint" }, say("network.more"), " ", h("code", {}, "realdrag models download ffhq-1024")),
    h("div", { class: "row wrap ends" }, button(say("cancel"), null, close), go))));
  document.body.append(dialog);
  dialog.showModal();
}

/** The network that new photos get: the studio's, unless another was chosen in this browser. */
export class NewPhotosNetwork {
  /** @param {string} standard */
  constructor(standard) {
    this.standard = standard;
    this.chosen = null;
    this.button = button("", null, () => chooseNetwork({ now: this.now, anew: false, take: (id) => this.take(id) }), { kind: "plain", title: say("network.change") });
    this.element = h("p", {}, h("span", {}, say("network.new")), " ", this.button);
    this.show();
    this.recall();
  }

  get now() {
    return this.chosen ?? this.standard;
  }

  /** Take up again what was chosen before, if it is still there. */
  async recall() {
    const ids = await loadNetworks();
    try {
      const kept = localStorage.getItem(KEPT);
      this.chosen = ids.includes(kept) ? kept : null;
    } catch { /* nothing may be kept here */ }
    this.show();
  }

  take(id) {
    this.chosen = id;
    try {
      localStorage.setItem(KEPT, id);
    } catch { /* it lasts as long as the page */ }
    this.show();
  }

  show() {
    this.button.querySelector("span").textContent = networkWords(this.now).title;
  }
}
