// The page: which of its views is shown, and what the studio sends.

import { json, Live, place, sentence } from "./api.js";
import { button, toast } from "./dom.js";
import { Editor } from "./editor.js";
import { FaceChoice } from "./face.js";
import { Home } from "./home.js";
import { Prepare } from "./prepare.js";
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
    this.view = null;
    this.kind = null;
    this.choosing = false;
    this.settings = new Settings(about.settings, () => this.state);
    this.live = new Live({
      message: (message) => this.message(message),
      frame: (head, jpeg) => this.frame(head, jpeg),
      up: (up) => this.up(up),
    });
    window.addEventListener("hashchange", () => this.route());
    this.route();
  }

  route() {
    const id = decodeURIComponent(location.hash.slice(1)) || null;
    if (id === this.id) return;
    this.id = id;
    this.state = null;
    this.choosing = false;
    this.live.watch(id);
    if (id === null) this.show("home", () => new Home({ about: this.about, open: (next) => this.open(next) }));
    else this.clear();
    title.textContent = "";
    document.title = "realdrag";
  }

  open(id) {
    location.hash = encodeURIComponent(id);
  }

  clear() {
    this.view?.destroy?.();
    this.view = null;
    this.kind = null;
    main.replaceChildren();
    actions.replaceChildren();
  }

  show(kind, build) {
    this.clear();
    this.kind = kind;
    this.view = build();
    main.append(this.view.element);
    document.body.dataset.view = kind;
    if (kind !== "home") actions.replaceChildren(button("Settings", "gear", () => this.settings.open(), { bare: true }));
  }

  /** The studio has said how the workspace is now. */
  setState(state) {
    if (state.id !== this.id) return;
    const before = this.state;
    if (before && before.version > state.version) return;
    this.state = state;
    state.job = inFront(state.jobs);
    title.textContent = state.name;
    document.title = `${state.name} – realdrag`;
    const job = state.job?.kind;
    if (job === "prepare") this.choosing = false;
    const kind = job === "prepare" ? "prepare" : state.ready && !this.choosing ? "editor" : "face";
    if (kind === this.kind) {
      this.view.set(state);
      return;
    }
    const justReady = kind === "editor" && before?.job?.kind === "prepare" && !state.edit.drag;
    const views = {
      prepare: () => new Prepare(this, state),
      face: () => new FaceChoice({ editing: state.ready, leave: () => this.chooseFace(false) }, state),
      editor: () => new Editor(this, state, justReady),
    };
    this.show(kind, views[kind]);
  }

  chooseFace(choosing = true) {
    this.choosing = choosing;
    this.setState(this.state);
    if (choosing && !this.state.found) json("POST", place(this.id, "/faces")).catch((error) => toast(error.message, "error"));
  }

  message(message) {
    if (message.type === "state") this.setState(message.state);
    else if (message.type === "error") this.failed(message.error);
    else if (message.type === "notice") toast(sentence(message.text));
    else if (this.view && (message.type === "list") === (this.kind === "home")) {
      if (message.type === "job") {
        if (this.state.jobs[message.job.kind]?.number !== message.job.number) return;
        this.state.jobs[message.job.kind] = message.job;
        this.state.job = inFront(this.state.jobs);
        message.job = this.state.job;
      }
      this.view.message?.(message);
    }
  }

  failed(error) {
    toast(sentence(error.message), "error");
    if (error.kind === "WorkspaceUnknown") location.hash = "";
  }

  async frame(head, jpeg) {
    try {
      const bitmap = await createImageBitmap(jpeg);
      if (head.workspace === this.id) this.view?.frame?.(head, bitmap);
    } finally {
      this.live.drawn();
    }
  }

  async up(up) {
    if (up) {
      offline.hidden = true;
      if (this.kind === "home") this.view.refresh();
      return;
    }
    let words = "The studio does not answer. This page goes on as soon as it is back.";
    try {
      const answer = await fetch("/api/studio");
      if (answer.status === 401) words = "The studio has been started anew. Open the address that it printed.";
      else return;
    } catch { /* it is not there at all */ }
    offline.textContent = words;
    offline.hidden = false;
  }
}

/** The job that a person waits for first. */
function inFront(jobs) {
  return jobs.drag ?? jobs.film ?? jobs.prepare ?? jobs.find ?? null;
}

try {
  new App(await json("GET", "studio"));
} catch (error) {
  offline.textContent = error.message;
  offline.hidden = false;
}
