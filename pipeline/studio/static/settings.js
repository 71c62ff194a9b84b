// The drawer with every setting, built from what the studio says there is.

import { attempt, json, place } from "./api.js";
import { button, h } from "./dom.js";
import { networkWords } from "./networks.js";
import { say } from "./say.js";

/** A dialog that slides in from the side. */
export class Settings {
  /** @param {any} schema JSON Schema of all settings @param {() => any} state the shown workspace @param {() => void} chooseNetwork */
  constructor(schema, state, chooseNetwork) {
    this.schema = schema;
    this.state = state;
    this.chooseNetwork = chooseNetwork;
    this.body = h("div", { class: "drawer-body" });
    this.dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "drawer", "aria-labelledby": "settings-title" },
      h("div", { class: "drawer-head" }, h("h2", { id: "settings-title" }, say("settings")),
        button(say("close"), "close", () => this.dialog.close(), { bare: true })),
      this.body,
      h("div", { class: "drawer-foot" },
        button(say("settings.resetAll"), "reset", () => this.reset()))));
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
    const network = say("network.is", { name: networkWords(this.state().network).title });
    this.body.replaceChildren(
      button(network, "network", () => { this.dialog.close(); this.chooseNetwork(); }, { kind: "wide", title: say("network.change") }),
      ...whole.map(([name, each]) => this.field(name, each, this.given[name], (value) => this.change(null, name, value))),
      ...groups.map(([part, each], i) => h("details", { open: i === 0 }, h("summary", {}, say(`settings.${part}`)),
        ...Object.entries(each.properties).map(([name, one]) =>
          this.field(name, one, this.given[part]?.[name], (value) => this.change(part, name, value), part)))));
    if (groups.some(([part]) => part === "tune")) {
      this.body.append(h("p", { class: "hint" }, say("settings.again")));
    }
  }

  field(name, schema, given, change, part = "") {
    const plain = schema.anyOf?.find((each) => each.type !== "null") ?? schema;
    const id = `setting-${part}-${name}`;
    const standard = schema.default;
    const optional = plain !== schema; // left empty, it is chosen by what is at hand
    const value = given ?? standard;
    let input;
    if (plain.type === "boolean") {
      input = h("input", { type: "checkbox", id, checked: value, onchange: () => set(input.checked) });
    } else if (plain.enum) {
      input = h("select", { id, onchange: () => set(input.value) },
        ...plain.enum.map((choice) => h("option", { value: choice, selected: choice === value }, choice)));
    } else {
      input = h("input", { type: "number", id, value: value ?? "", min: plain.minimum, max: plain.maximum, required: !optional, placeholder: optional ? say("settings.auto") : null,
        step: plain.type === "integer" ? 1 : "any", inputmode: "decimal",
        onchange: () => { if (input.reportValidity()) set(input.value === "" ? null : Number(input.value)); } });
    }
    input.setAttribute("aria-describedby", `${id}-help`);
    const own = part ? `${part}.${name}` : name;
    const label = say(`setting.${own}`);
    const shown = typeof standard === "boolean" ? say(standard ? "on" : "off") : standard ?? say("settings.auto");
    const reset = button(say("settings.reset", { label }), "reset", () => {
      if (input.type === "checkbox") input.checked = standard;
      else input.value = standard ?? "";
      input.focus();
      change(undefined);
      mark(undefined);
    }, { bare: true });
    const row = h("div", { class: "setting" }, h("label", { for: id }, label), input,
      h("p", { class: "hint", id: `${id}-help` }, `${say(`effect.${own}`)} ${say("settings.default", { value: shown })} `, h("code", { title: schema.description }, own)), reset);
    const mark = (now) => {
      const changed = now !== undefined && now !== standard;
      row.classList.toggle("changed", changed);
      reset.hidden = !changed;
    };
    const set = (next) => {
      const now = next === standard || next === null ? undefined : next;
      change(now);
      mark(now);
    };
    mark(given);
    return row;
  }

  change(part, name, value) {
    const next = structuredClone(this.given);
    const home = part === null ? next : (next[part] ??= {});
    if (value === undefined) delete home[name];
    else home[name] = value;
    if (part !== null && !Object.keys(home).length) delete next[part];
    return this.save(next);
  }

  /** Keep the settings; what is changed meanwhile is sent after that, and nothing typed is lost. */
  save(next) {
    this.given = next;
    this.sent = (this.sent ?? Promise.resolve()).then(async () => {
      if (this.given !== next) return;
      const answer = await attempt(() => json("PUT", place(this.state().id, "/settings"), next));
      if (answer || this.given !== next) return;
      this.given = structuredClone(this.state().settings);
      this.render();
    });
    return this.sent;
  }

  reset() {
    const open = [...this.body.querySelectorAll("details")].map((each) => each.open);
    this.save({});
    this.render();
    this.body.querySelectorAll("details").forEach((each, i) => { each.open = open[i]; });
  }
}
