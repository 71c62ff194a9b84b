// Files that a person gives to the page, and that the page gives back.

import { button, h, toast } from "./dom.js";

/**
 * A button that takes a JSON file, and the field behind it.
 * @param {{name: string, title: string, no: (file: string) => string}} words the button's, what it is for, and what is said of any other file
 * @param {(content: any) => boolean} fits whether a file's content is of the kind that is meant
 * @param {(content: any) => any} take
 * @returns {[HTMLButtonElement, HTMLInputElement]}
 */
export function jsonButton({ name, title, no }, fits, take) {
  const field = /** @type {HTMLInputElement} */ (h("input", { type: "file", accept: ".json,application/json", class: "unseen", tabindex: "-1", "aria-label": title,
    onchange: async () => {
      const file = field.files[0];
      field.value = "";
      if (!file) return;
      let content;
      try {
        content = JSON.parse(await file.text());
      } catch { /* it is no JSON: said below */ }
      if (content && fits(content)) await take(content);
      else toast(no(file.name), "error");
    } }));
  return [button(name, "folder", () => field.click(), { title }), field];
}

/** Let the browser save something. @param {Blob} data @param {string} name */
export function saveAs(data, name) {
  const address = URL.createObjectURL(data);
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
