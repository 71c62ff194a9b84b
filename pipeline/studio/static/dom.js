// Small helpers to build the page.

import { say } from "./say.js";

/**
 * Make an element. Attributes that start with "on" are listeners; null and false are left out.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string)} children
 * @returns {SVGElement}
 */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

const PATHS = {
  undo: "M9 7 4.5 11.5 9 16M5 11.5h9a5 5 0 0 1 0 10h-2",
  redo: "m15 7 4.5 4.5L15 16m4-4.5h-9a5 5 0 0 0 0 10h2",
  reset: "M5 12a7 7 0 1 0 2.2-5.1M5 4v4.5h4.5",
  play: "M8 5.5v13l10.5-6.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  stop: "M7 7h10v10H7z",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  point: "M12 3v4M12 17v4M3 12h4M17 12h4M12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
  brush: "M4 20c3 0 5-1 5-3.5A2.5 2.5 0 0 0 6.5 14C4.5 14 4.600 17 4 20zM9 15 19 4.500l1 1L10.500 16.500",
  hand: "M8 12V6.500a1.500 1.500 0 0 1 3 0V11m0-5.500a1.500 1.500 0 0 1 3 0V11m0-3.500a1.500 1.500 0 0 1 3 0V14a6 6 0 0 1-6 6c-3 0-4.500-1.500-6-4l-1.700-3a1.500 1.500 0 0 1 2.600-1.500L8 13.500",
  compare: "M12 3v18M4 6h5v12H4zM15 6h5v12h-5z",
  gear: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5",
  save: "M12 4v11m-4.500-4.500L12 15l4.500-4.500M5 19.500h14",
  close: "M6 6l12 12M18 6 6 18",
  photo: "M4 5h16v14H4zM4 16l4.500-4.500 4 4 2.500-2.500 5 5M15.500 9.500h.01",
  eraser: "M8.500 19.500 4 15l9.500-9.500 6 6-8 8zM9 10l6 6M7 19.500h13",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  mirror: "M12 4v16M9 8v8l-5-4zM15 8v8l5-4z",
  folder: "M4 6.500h6l2 2h8v9.500H4z",
  rename: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  trash: "M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13",
  more: "M5.500 12h.01M12 12h.01M18.500 12h.01",
  help: "M9 9.200a3 3 0 1 1 4.400 2.700c-1 .6-1.400 1.100-1.400 2.300M12 17.500h.01",
  network: "M5 5h5v5H5zM14 5h5v5h-5zM5 14h5v5H5zM14 14h5v5h-5z",
  left: "M14.500 5.500 8 12l6.500 6.500",
};

/**
 * Make an icon that screen readers skip.
 * @param {keyof typeof PATHS} name
 */
export function icon(name) {
  return s("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, s("path", { d: PATHS[name] }));
}

/**
 * Make a button with an icon; its text is its name, and shown unless it is `bare`.
 * @param {string} label
 * @param {keyof typeof PATHS | null} picture
 * @param {(event: Event) => void} action
 * @param {{bare?: boolean, kind?: string, id?: string, keys?: string, title?: string, pressed?: boolean}} [options]
 */
export function button(label, picture, action, { bare = false, kind = "", id, keys, title, pressed } = {}) {
  const hint = keys ? `${title ?? label} (${keys})` : title ?? (bare ? label : null);
  return /** @type {HTMLButtonElement} */ (h(
    "button",
    { type: "button", class: `button ${bare ? "bare" : ""} ${kind}`.trim(), id, onclick: action,
      title: hint, "aria-label": bare ? label : null, "aria-pressed": pressed === undefined ? null : String(pressed) },
    picture && icon(picture),
    bare ? null : h("span", {}, label),
  ));
}

const STAYS = { note: 9000, error: 14000 };

/** Show a message for a while, or until it is closed; one that is pointed at stays. */
export function toast(text, kind = "note") {
  const area = document.getElementById("toasts");
  for (const shown of area.children) if (shown.dataset.text === text) shown.remove();
  const box = h("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status", "data-text": text },
    h("p", {}, text),
    button(say("toast.close"), "close", () => box.remove(), { bare: true }));
  area.append(box);
  while (area.children.length > 3) area.firstElementChild.remove();
  const go = () => { if (box.matches(":hover, :focus-within")) setTimeout(go, 1000); else box.remove(); };
  setTimeout(go, STAYS[kind]);
}

/** Take away what went wrong before: something has worked since. */
export function clearErrors() {
  for (const box of [...document.querySelectorAll("#toasts .error")]) box.remove();
}

/** Take away every message: they were about another photo. */
export function clearToasts() {
  document.getElementById("toasts").replaceChildren();
}
