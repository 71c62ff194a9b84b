// The page: which of its views is shown, and what the studio sends.

import { failureText, json, Live, sentence } from "./api.js";
import { button, clearToasts, toast } from "./dom.js";
import { Home } from "./home.js";
import { showKeys } from "./keys.js";
import { PhotoPage } from "./photo.js";
import { say } from "./say.js";
import { Settings } from "./settings.js";

const main = document.getElementById("main");
const title = document.getElementById("title");
const actions = document.getElementById("top-actions");
const offline = document.getElementById("offline");

/** Shows one view at a time; what it shows comes from the studio alone. */
class App {
  constructor(about) {
    this.about = about;
    this.id = undefined;
    this.state = null;
    this.page = null;
    this.settings = new Settings(about.settings, () => this.state, () => this.page.panel.chooseNetwork());
    this.live = new Live({
      message: (message) => this.message(message),
      frame: (head, jpeg, field) => this.frame(head, jpeg, field),
      up: (up, answers, lockedOut) => this.up(up, answers, lockedOut),
    });
    window.addEventListener("hashchange", () => this.route());
    this.route();
  }

  route() {
    const id = decodeURIComponent(location.hash.slice(1)) || null;
    if (id === this.id) return;
    this.id = id;
    this.state = null;
    clearToasts();
    for (const dialog of document.querySelectorAll("dialog[open]")) /** @type {HTMLDialogElement} */ (dialog).close();
    this.live.watch(id);
    title.hidden = true;
    document.title = "realdrag";
    if (id === null) this.show("home", new Home({ about: this.about, open: (next) => this.open(next) }));
    else this.clear();
  }

  open(id) {
    location.hash = encodeURIComponent(id);
  }

  clear() {
    this.page?.destroy?.();
    this.page = null;
    main.replaceChildren();
    actions.replaceChildren();
  }

  show(kind, page) {
    this.clear();
    this.page = page;
    main.append(page.element);
    document.body.dataset.view = kind;
    if (kind === "home") return;
    actions.replaceChildren(
      button(say("keys.title"), "help", () => showKeys(), { bare: true, keys: "?" }),
      button(say("settings"), "gear", () => this.settings.open(), { bare: true }));
  }

  /** The studio has said how the workspace is; what is older than what is known is no news. */
  setState(state) {
    if (state.id !== this.id || (this.state && this.state.version > state.version)) return;
    this.state = state;
    title.textContent = state.name;
    title.hidden = false;
    document.title = `${state.name} – realdrag`;
    if (this.page) this.page.set(state);
    else this.show("photo", new PhotoPage(this, state));
  }

  message(message) {
    if (message.type === "state") this.setState(message.state);
    else if (message.type === "error") this.failed(message.error);
    else if (message.type === "notice") toast(sentence(message.text));
    else if (message.type === "job") this.jobMoved(message.job);
    else if (message.type === "list") this.page?.listChanged?.();
  }

  /** A job has gone on: one that the state does not have is over, or not begun. */
  jobMoved(job) {
    if (this.state?.jobs[job.kind]?.number !== job.number) return;
    this.state.jobs[job.kind] = job;
    this.page.refresh();
  }

  failed(error) {
    if (error.kind === "WorkspaceUnknown") {
      location.hash = "";
      this.route(); // what is said now is said on the first page
    }
    toast(failureText(error), "error");
  }

  async frame(head, jpeg, field) {
    try {
      const bitmap = await createImageBitmap(jpeg);
      if (head.workspace === this.id && this.state) this.page?.frame?.(head, bitmap, field);
    } finally {
      this.live.drawn();
    }
  }

  up(up, answers, lockedOut) {
    offline.hidden = up || (answers && !lockedOut);
    offline.textContent = up ? "" : say(lockedOut ? "offline.locked" : "offline.gone");
    if (up) this.page?.listChanged?.();
  }
}

try {
  new App(await json("GET", "studio"));
} catch (error) {
  offline.textContent = error.message;
  offline.hidden = false;
}
