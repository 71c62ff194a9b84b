// The drawer with every setting, built from what the studio says there is.

import { attempt, json, place } from "./api.js";
import { button, h } from "./dom.js";
import { PARTS, settingEffect, settingName } from "./words.js";

/** A dialog that slides in from the side. */
export class Settings {
  /** @param {any} schema JSON Schema of all settings @param {() => any} state the shown workspace */
  constructor(schema, state) {
    this.schema = schema;
    this.state = state;
    this.body = h("div", { class: "drawer-body" });
    this.dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "drawer", "aria-labelledby": "settings-title" },
      h("div", { class: "drawer-head" }, h("h2", { id: "settings-title" }, "Settings"),
        button("Close", "close", () => this.dialog.close(), { bare: true })),
      this.body,
      h("div", { class: "drawer-foot" },
        button("Reset all", "reset", () => this.save({})))));
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
  }

  open() {
    this.given = structuredClone(this.state().settings);
    this.render();
    if (!this.dialog.isConnected) document.body.append(this.dialog);
    this.dialog.showModal();
  }

  render() {
    const parts = Object.entries(this.schema.properties);
    const whole = parts.filter(([, each]) => each.type !== "object");
    const groups = parts.filter(([, each]) => each.type === "object");
    this.body.replaceChildren(
      ...whole.map(([name, each]) => this.field(name, each, this.given[name], (value) => this.change(null, name, value))),
      ...groups.map(([part, each], i) => h("details", { open: i === 0 }, h("summary", {}, PARTS[part] ?? part),
        ...Object.entries(each.properties).map(([name, one]) =>
          this.field(name, one, this.given[part]?.[name], (value) => this.change(part, name, value), part)))));
    if (groups.some(([part]) => part === "tune")) {
      this.body.append(h("p", { class: "hint" }, "Projection, tuning and seed count when the face is prepared again: choose “Another face” for that."));
    }
  }

  field(name, schema, given, change, part = "") {
    const plain = schema.anyOf?.find((each) => each.type !== "null") ?? schema;
    const id = `setting-${part}-${name}`;
    const standard = schema.default;
    const value = given ?? standard;
    const set = (next) => change(next === standard || next === null ? undefined : next);
    let input;
    if (plain.type === "boolean") {
      input = h("input", { type: "checkbox", id, checked: value, onchange: () => set(input.checked) });
    } else if (plain.enum) {
      input = h("select", { id, onchange: () => set(input.value) },
        ...plain.enum.map((choice) => h("option", { value: choice, selected: choice === value }, choice)));
    } else {
      input = h("input", { type: "number", id, value: value ?? "", min: plain.minimum, max: plain.maximum, required: true,
        step: plain.type === "integer" ? 1 : "any", inputmode: "decimal",
        onchange: () => { if (input.reportValidity()) set(Number(input.value)); } });
    }
    input.setAttribute("aria-describedby", `${id}-help`);
    const changed = given !== undefined && given !== standard;
    const shown = typeof standard === "boolean" ? (standard ? "on" : "off") : standard;
    return h("div", { class: `setting ${changed ? "changed" : ""}` },
      h("label", { for: id }, settingName(part, name)), input,
      h("p", { class: "hint", id: `${id}-help` }, [schema.description, settingEffect(part, name), `Default: ${shown}.`].filter(Boolean).join(" ")),
      changed ? button(`Reset: ${settingName(part, name)}`, "reset", () => change(undefined), { bare: true }) : null);
  }

  change(part, name, value) {
    const next = structuredClone(this.given);
    const home = part === null ? next : (next[part] ??= {});
    if (value === undefined) delete home[name];
    else home[name] = value;
    if (part !== null && !Object.keys(home).length) delete next[part];
    return this.save(next);
  }

  async save(next) {
    const focused = document.activeElement?.id;
    const answer = await attempt(() => json("PUT", place(this.state().id, "/settings"), next));
    if (answer) this.given = answer.settings;
    const open = [...this.body.querySelectorAll("details")].map((each) => each.open);
    this.render();
    this.body.querySelectorAll("details").forEach((each, i) => { each.open = open[i]; });
    if (focused) document.getElementById(focused)?.focus();
  }
}
