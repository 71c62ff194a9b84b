// The page of a photo, from its first look to what is saved: the picture, and beside it what can be done.

import { Area } from "./area.js";
import { attempt, blob, fieldOf, json, place } from "./api.js";
import { Choosing } from "./choosing.js";
import { Controls } from "./controls.js";
import { Divider } from "./compare.js";
import { button, h } from "./dom.js";
import { Elastic } from "./elastic.js";
import { jsonButton } from "./files.js";
import { apply } from "./geometry.js";
import { Keys } from "./keys.js";
import { Likeness } from "./likeness.js";
import { Parts } from "./parts.js";
import { Pictures } from "./pictures.js";
import { Points } from "./points.js";
import { Saving } from "./save.js";
import { say } from "./say.js";
import { statusOf } from "./status.js";
import { Viewport } from "./viewport.js";

/** At most one announcement in so many milliseconds for who hears the page. */
const ANNOUNCE = 1000;

/** @param {any} face a state's face, or null @returns {number[]} */
const sizeOf = (face) => [face?.width ?? 0, face?.height ?? 0];

/** Everything about one photo. What goes on is worked out from `state`, which the studio alone changes. */
export class PhotoPage {
  /** @param {any} app @param {any} state */
  constructor(app, state) {
    this.app = app;
    this.view = "photo";
    this.tool = "points";
    this.comparing = false;
    this.held = false;
    this.choosingAgain = false;
    /** The latest picture of a drag: {job, seq, bitmap, field}; it stays until its result can be shown. */
    this.live = null;
    this.asking = Promise.resolve();
    this.elastic = new Elastic(app.about.elastic);
    this.pictures = new Pictures(() => this.look());
    this.viewport = new Viewport(say("viewport"), app.about.elastic.region);
    this.points = new Points(this.viewport, (change) => this.act("PATCH", "/points", change), () => this.changed());
    this.area = new Area(this.viewport, (png, how) => this.putArea(png, how), () => this.points.pairs.flatMap(({ handle, target }) => [handle, target]));
    this.points.keeps = (xy) => this.area.keeps(xy);
    this.saving = new Saving(() => this.state);
    this.choosing = new Choosing(this.viewport, { leave: () => this.chooseFace(false), changed: () => this.refresh(), apply: (next) => app.setState(next) });
    this.divider = new Divider(this.viewport, () => this.paint());
    this.named = new Controls((controls) => this.act("PUT", "/controls", { controls }),
      async (controls) => fieldOf(await attempt(() => json("POST", place(this.state.id, "/controls/preview"), { controls }))),
      () => { this.refresh(); this.stretch(); },
      new Likeness((photo, parts, strength) => this.act("POST", `/controls/like?${new URLSearchParams({ parts: parts.join(","), strength: String(strength), file: photo.name })}`, photo), app.about.likeness));
    /** What is known of the parts of the shown face. */
    this.parts = new Parts([]);
    this.listen();
    this.build();
    this.keys = new Keys(this);
    this.set(state);
  }

  destroy() {
    this.keys.destroy();
    clearTimeout(this.announcing);
  }

  listen() {
    const { gestures } = this.viewport;
    this.viewport.onPaint = () => { this.points.render(); this.choosing.place(); this.divider.place(this.comparing); this.placeChips(); };
    gestures.onPress = (xy, event) => this.press(xy, event);
    gestures.onMove = (xy, event) => { this.gesture?.move(xy, event); this.stretch(); };
    gestures.onRelease = (xy, event) => { this.gesture?.release(xy, event); this.gesture = null; this.refresh(); };
    gestures.onAbort = () => { this.gesture?.abort(); this.gesture = null; this.refresh(); };
    gestures.onHover = (xy, event) => this.hover(xy, event);
  }

  // ------------------------------------------------------------------------------- building

  build() {
    const bare = { bare: true };
    this.tools = {
      points: button(say("tool.points"), "point", () => this.setTool("points"), { keys: "P", title: say("tool.points.title") }),
      area: button(say("tool.area"), "brush", () => this.setTool("area"), { keys: "A", title: say("tool.area.title") }),
      hand: button(say("tool.hand"), "hand", () => this.setTool("hand"), { keys: "M", title: say("tool.hand.title"), kind: "hand" }),
    };
    this.compareButton = button(say("compare"), "compare", () => this.setComparing(!this.comparing), { title: say("compare.title") });
    this.networkButton = button(say("view.network"), "network", () => this.setView(this.view === "photo" ? "face" : "photo"), { keys: "F", title: say("view.network.title") });
    this.undoButton = button(say("undo"), "undo", () => this.step("undo"), { ...bare, keys: "Ctrl+Z" });
    this.redoButton = button(say("redo"), "redo", () => this.step("redo"), { ...bare, keys: "Ctrl+Shift+Z" });
    this.resetButton = button(say("reset"), "reset", () => this.step("reset"), bare);
    const zooms = h("div", { class: "segment zooms", role: "group", "aria-label": say("zoom") },
      button(say("zoom.out"), "minus", () => this.viewport.zoomBy(1 / 1.4), { ...bare, keys: "-" }),
      button(say("zoom.face"), "fit", () => this.viewport.fit(), { ...bare, keys: "0" }),
      button(say("zoom.in"), "plus", () => this.viewport.zoomBy(1.4), { ...bare, keys: "+" }));
    this.toolbar = h("div", { class: "toolbar", role: "toolbar", "aria-label": say("tools") },
      h("div", { class: "segment", role: "group", "aria-label": say("tool") }, ...Object.values(this.tools)),
      h("div", { class: "segment", role: "group", "aria-label": say("history") }, this.undoButton, this.redoButton, this.resetButton),
      h("div", { class: "segment views", role: "group", "aria-label": say("view") }, this.compareButton, this.networkButton),
      zooms);
    this.chip = h("p", { class: "chip may", hidden: true }, h("span", { class: "swatch", "aria-hidden": "true" }), say("area.chip"));
    this.viewChip = h("p", { class: "chip network", hidden: true }, say("view.network.chip"));
    this.previewChip = h("p", { class: "chip preview", hidden: true }, say("preview.chip"));
    this.brushRing = h("span", { class: "brush-ring", hidden: true, "aria-hidden": "true" });
    this.beforeChip = h("p", { class: "chip before", hidden: true }, say("compare.before"));
    this.afterChip = h("p", { class: "chip after", hidden: true }, say("compare.after"));
    this.partChip = h("p", { class: "chip part", hidden: true, "aria-hidden": "true" });
    this.viewport.element.append(this.partChip, this.chip, this.viewChip, this.previewChip, this.beforeChip, this.afterChip, this.brushRing);
    this.buildControls();
    this.buildPanel();
    this.element = h("div", { class: "photo-page" },
      h("div", { class: "stage" }, this.toolbar, this.viewport.element, this.controls), this.panel);
    this.setTool("points");
  }

  buildControls() {
    this.startButton = button(say("start"), "play", () => this.start(), { kind: "primary", keys: say("key.space") });
    this.pauseButton = button(say("pause"), "pause", () => this.steer("pause"), { keys: say("key.space") });
    this.continueButton = button(say("continue"), "play", () => this.steer("continue"), { kind: "primary", keys: say("key.space") });
    this.stopButton = button(say("stop"), "stop", () => this.steer("stop"));
    this.cancelButton = button(say("cancel"), "close", () => this.steer("stop"));
    this.saveButton = button(say("save"), "save", () => this.saving.photo(this.saveButton), { kind: "save" });
    this.holdButton = button(say("hold"), "compare", () => {}, { keys: say("key.hold"), title: say("hold.title"), kind: "hold" });
    for (const [name, on] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["pointercancel", false]]) {
      this.holdButton.addEventListener(name, () => this.hold(on));
    }
    this.holdButton.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); this.hold(true); } });
    this.holdButton.addEventListener("keyup", (event) => { if (event.key === "Enter" || event.key === " ") this.hold(false); });
    this.status = h("p", { class: "status" });
    this.statusHint = h("p", { class: "hint status-hint", hidden: true });
    this.announcer = h("p", { class: "unseen", role: "status" });
    this.progress = /** @type {HTMLProgressElement} */ (h("progress", { max: 1, value: 0, "aria-label": say("progress"), hidden: true }));
    this.controls = h("div", { class: "controls" },
      h("div", { class: "row buttons" }, this.startButton, this.pauseButton, this.continueButton, this.stopButton, this.cancelButton, this.saveButton, this.holdButton),
      h("div", { class: "grow state" }, this.status, this.progress, this.statusHint, this.announcer));
  }

  buildPanel() {
    this.addButton = button(say("points.add"), "plus", () => { this.setTool("points"); this.points.add(); }, { title: say("points.add.title") });
    this.clearButton = button(say("points.clear"), "close", () => this.points.clear());
    const words = { name: say("points.load"), title: say("points.load.title"), no: (name) => say("points.load.no", { name }) };
    const [loadButton, pointsFile] = jsonButton(words, (content) => typeof content === "object", (content) => this.act("POST", "/points/file", content));
    this.loadButton = loadButton;
    this.pointsHint = h("p", { class: "hint" }, say("points.hint"));
    this.tracksBox = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: "tracks", checked: true, onchange: () => { this.points.showTracks = this.tracksBox.checked; this.points.render(); } }));
    this.again = button(say("face.again"), "photo", () => this.chooseFace(), { title: say("face.again.title") });
    this.quality = h("p", { class: "hint" });
    const folded = (about, ...content) => h("details", { class: "section", "data-about": about }, h("summary", {}, say(`panel.${about}`)), ...content);
    const section = (about, ...content) => h("section", { "data-about": about }, h("h2", {}, say(`panel.${about}`)), ...content);
    this.sections = [
      section("controls", this.named.element),
      section("points", this.points.list, this.pointsHint, h("div", { class: "row wrap" }, this.addButton, this.clearButton, this.loadButton, pointsFile),
        h("label", { class: "row", for: "tracks" }, this.tracksBox, h("span", {}, say("points.tracks")))),
      section("save", this.saving.element),
      folded("area", this.area.element),
      folded("face", this.quality, h("div", { class: "row wrap" }, this.again)),
    ];
    this.learning = new Learning();
    this.panel = h("aside", { class: "panel", "aria-label": say("panel") }, this.choosing.element, this.learning.element, ...this.sections);
  }

  // ---------------------------------------------------------------------------------- state

  get dragging() {
    return Boolean(this.state?.jobs.drag);
  }

  /** Whether a face is to be chosen, rather than edited. */
  get isChoosing() {
    const { state } = this;
    return this.choosingAgain || !(state.ready || state.jobs.prepare);
  }

  set(state) {
    const before = this.state;
    this.state = state;
    if (state.jobs.prepare) this.choosingAgain = false;
    if (this.view === "face" && !networkHas(state)) this.view = "photo";
    if (state.jobs.drag && state.jobs.drag.number !== this.live?.job) this.live = null;
    this.choosing.set(state, this.isChoosing);
    this.viewport.setWorld(this.view, this.isChoosing ? null : state.face, state.photo);
    const busy = Boolean(state.jobs.drag || state.jobs.film);
    // Points that are moved end a paused drag, with the picture that it has come to.
    const steerable = state.jobs.drag?.paused && !state.jobs.film;
    this.points.locked = (busy && !steerable) || !state.face || this.isChoosing;
    this.area.setLocked(busy || this.points.locked);
    this.points.set(state.edit.points);
    this.points.drift.look(state);
    this.named.set(this.dragging ? this.named.amounts : state.edit.controls);
    if (this.dragging && state.edit.points.some(({ track }) => track.length)) this.points.setLive(state.edit.points.map(({ handle, track }) => track.at(-1) ?? handle));
    if (!before || before.edit.mask !== state.edit.mask || String(sizeOf(before.face)) !== String(sizeOf(state.face))) this.loadArea();
    this.pictures.set(state);
    this.saving.set(state);
    this.loadParts();
    this.refresh();
  }

  /** What was done to points has been answered. */
  changed() {
    this.points.set(this.state.edit.points);
    this.refresh();
  }

  /** Bring everything up to date that is worked out from the state, and from what the person is in. */
  refresh() {
    const { state } = this;
    if (!state) return;
    const { drag, film, prepare } = state.jobs;
    const busy = Boolean(drag || film);
    const choosing = this.isChoosing;
    for (const each of this.sections) each.hidden = choosing;
    this.learning.element.hidden = !prepare || choosing || !this.learning.drawn;
    this.toolbar.classList.toggle("idle", choosing);
    for (const each of [...Object.values(this.tools), this.compareButton]) each.disabled = choosing || !state.face;
    this.networkButton.disabled = choosing || !networkHas(state);
    this.undoButton.disabled = busy || choosing || state.edit.undo === null;
    this.redoButton.disabled = busy || choosing || state.edit.redo === null;
    this.undoButton.title = titled("undo", state.edit.undo, "Ctrl+Z");
    this.redoButton.title = titled("redo", state.edit.redo, "Ctrl+Shift+Z");
    this.resetButton.disabled = busy || choosing || (!state.edit.drag && !state.edit.points.length && !state.edit.mask && !this.named.any);
    this.addButton.disabled = this.points.locked;
    this.loadButton.disabled = busy || this.points.locked;
    this.clearButton.disabled = this.points.locked || !this.points.pairs.length;
    this.again.disabled = busy;
    this.named.lock(busy || this.points.locked);
    this.pointsHint.hidden = this.points.pairs.length > 0;
    const psnr = state.fidelity.tune?.after?.psnr;
    this.quality.textContent = psnr ? say("face.quality", { decibels: psnr, close: state.close_psnr }) : "";
    this.startButton.hidden = Boolean(drag) || choosing;
    this.startButton.disabled = !(this.points.anyMoves || this.named.any) || this.points.locked;
    this.startButton.querySelector("span").textContent = say(state.edit.drag ? "goOn" : "start");
    // When nothing is left to go, saving comes next.
    const arrived = Boolean(state.edit.drag) && !busy && this.startButton.disabled;
    this.startButton.classList.toggle("primary", !arrived);
    this.saveButton.classList.toggle("primary", arrived);
    this.saveButton.hidden = !state.edit.drag || busy || choosing;
    this.pauseButton.hidden = !drag || drag.paused;
    this.continueButton.hidden = !drag || !drag.paused;
    this.stopButton.hidden = !drag;
    this.pauseButton.disabled = this.stopButton.disabled = !drag || drag.ending || (drag.stage !== null && drag.stage !== "drag");
    this.cancelButton.hidden = !(prepare && !drag) && !film;
    this.cancelButton.disabled = Boolean(prepare?.ending || film?.ending);
    this.holdButton.hidden = choosing || !state.face || !state.edit.drag;
    this.element.classList.toggle("dragging", Boolean(drag));
    this.tell(statusOf(state, { pending: Boolean(this.points.pending), choosing, marks: this.choosing.marks?.length ?? null }));
    this.look();
  }

  /** @param {import("./status.js").Status} status */
  tell({ text, tone, share, hint }) {
    this.status.textContent = text;
    this.status.dataset.tone = tone;
    this.statusHint.textContent = hint ?? "";
    this.statusHint.hidden = !hint;
    this.progress.hidden = share === undefined;
    if (share === null || share === undefined) this.progress.removeAttribute("value");
    else this.progress.value = share;
    this.saying = text;
    this.announcing ??= setTimeout(() => {
      this.announcing = null;
      if (this.announcer.textContent !== this.saying) this.announcer.textContent = this.saying;
    }, ANNOUNCE);
  }

  // ------------------------------------------------------------------------------- pictures

  /** Put together what is seen: pictures that belong together, and the latest of a job over them. */
  look() {
    const { shown } = this.pictures;
    const { look } = this.viewport;
    if (!shown) return;
    if (this.live && !this.dragging && !this.pictures.waiting) this.live = null;
    // A drag's field says how the photo moves from what it was at first.
    look.layers = (this.live && this.view === "photo" ? shown.before : shown.after)[this.view];
    look.before = shown.before[this.view];
    if (this.live && this.view === "face") {
      const [width, height] = this.viewport.faceSize;
      look.layers = [{ picture: this.live.bitmap, x: 0, y: 0, width, height }];
    }
    this.stretch(false);
    this.paint();
  }

  /** Move the photo as the network says, or else, at once, as the points do. */
  stretch(quick = true) {
    const { look } = this.viewport;
    if (this.view !== "photo" || !this.state.face || this.isChoosing) look.field = null;
    else if (this.live) look.field = this.live.field;
    else if (this.named.field && !this.points.gesture) look.field = this.named.field;
    else if (this.state.edit.stop && !this.points.gesture) look.field = null;
    else look.field = this.elastic.field(this.dragging ? this.state.edit.points : this.points.pairs, this.viewport.faceSize, this.area.values);
    if (quick) this.viewport.paint(true);
  }

  paint() {
    const comparing = this.comparing || this.held;
    const share = this.held ? 1 : this.comparing ? this.divider.share : 0;
    this.viewport.look.split = share;
    this.viewport.look.tint = this.area.values && !this.isChoosing ? this.area.tint : null;
    this.viewport.look.tintStrength = this.tool === "area" ? 1 : this.dragging ? 0.2 : 0.45;
    this.compareButton.setAttribute("aria-pressed", String(this.comparing));
    this.networkButton.setAttribute("aria-pressed", String(this.view === "face"));
    this.previewChip.hidden = !this.viewport.look.field || this.dragging || Boolean(this.live) || comparing;
    this.viewChip.hidden = this.view !== "face" || comparing;
    this.beforeChip.hidden = !comparing || share < 0.08;
    this.afterChip.hidden = !this.comparing || this.held || share > 0.92;
    this.chip.hidden = comparing || this.view === "face" || this.isChoosing || (!this.area.values && this.tool !== "area");
    this.points.hidden = this.held || this.marksHidden || this.isChoosing || !this.state.face;
    this.viewport.paintSoon();
  }

  /** Keep what is written on the picture inside it. */
  placeChips() {
    const view = this.viewport;
    const [width, height] = view.size;
    const [x0, y0] = apply(view.toScreen, [0, 0]);
    const [x1, y1] = apply(view.toScreen, view.worldSize);
    const { style } = view.element;
    for (const [name, room] of [["--left", x0], ["--right", width - x1], ["--below", height - y1], ["--above", y0]]) {
      style.setProperty(name, `${Math.max(Math.round(room), 0)}px`);
    }
  }

  async loadArea() {
    const { state } = this;
    const { mask } = state.edit;
    const picture = mask ? await attempt(() => blob(`${place(state.id, "/mask")}?v=${mask}`)) : null;
    const bitmap = picture ? await createImageBitmap(picture) : null;
    if (this.state.edit.mask === mask && this.state.face) this.area.set(sizeOf(this.state.face), bitmap);
    this.refresh();
  }

  /** Ask where the parts of the face are, when it is another. */
  async loadParts() {
    const { state } = this;
    const face = state.face && !this.isChoosing && !state.jobs.drag ? `${state.made.align} ${state.made.drag ?? ""}` : null;
    if (face === null || face === this.partsOf) return;
    this.partsOf = face;
    const landmarks = await attempt(() => json("GET", place(state.id, "/landmarks")));
    if (face !== this.partsOf) return;
    this.parts = this.points.parts = new Parts(landmarks ?? []);
    const ranges = await attempt(() => json("GET", place(state.id, "/controls")));
    if (face !== this.partsOf) return;
    this.named.setRanges(ranges ?? []);
    this.refresh();
  }

  /** A picture of a job has come; one that is older than what is shown comes to nothing. */
  frame(head, bitmap, field) {
    const { drag, prepare } = this.state.jobs;
    if (prepare?.number === head.job) this.learning.draw(bitmap);
    if (drag?.number !== head.job || this.live?.seq >= head.seq) return;
    this.live = { job: head.job, seq: head.seq, bitmap, field };
    if (head.handles.length && !this.points.gesture) this.points.setLive(head.handles);
    this.look();
    this.viewport.paint(true);
  }

  // -------------------------------------------------------------------------------- actions

  press(xy, event) {
    if (this.isChoosing) return this.choosing.press(event);
    if (!this.state.face) return false;
    this.gesture = this.tool === "area" ? this.area : this.points;
    const taken = this.gesture.press(xy, event);
    if (!taken) this.gesture = null;
    else if (this.comparing) this.setComparing(false);
    return taken;
  }

  hover(xy, event) {
    const name = xy && this.tool === "points" && !this.points.locked && !this.gesture && !this.points.nearest(event) ? this.parts.nameAt(xy) : null;
    this.partChip.hidden = !name;
    if (name) {
      const [x, y] = this.viewport.onScreen(event);
      this.partChip.textContent = say(`part.${name}`);
      this.partChip.style.setProperty("transform", `translate(${Math.round(x + 16)}px, ${Math.round(y + 18)}px)`);
    }
    const shown = this.tool === "area" && xy && !this.area.locked;
    this.brushRing.hidden = !shown;
    if (!shown) return;
    const radius = this.area.brush * this.viewport.faceScale;
    const [x, y] = this.viewport.place(xy);
    const { style } = this.brushRing;
    style.setProperty("width", `${2 * radius}px`);
    style.setProperty("height", `${2 * radius}px`);
    style.setProperty("transform", `translate(${x - radius}px, ${y - radius}px)`);
  }

  setTool(tool) {
    this.tool = tool;
    for (const [name, each] of Object.entries(this.tools)) each.setAttribute("aria-pressed", String(name === tool));
    this.viewport.gestures.handMode = tool === "hand";
    this.viewport.element.dataset.tool = this.panel.dataset.tool = tool;
    if (tool === "area") this.sections.find((each) => each.dataset.about === "area").open = true;
    this.points.active = tool !== "area";
    this.points.pending = null;
    this.brushRing.hidden = true;
    this.refresh();
  }

  setView(view) {
    this.view = view;
    this.viewport.setWorld(view, this.state.face, this.state.photo);
    this.look();
  }

  setComparing(comparing) {
    this.comparing = comparing;
    this.paint();
  }

  hold(held) {
    if (this.held === held) return;
    this.held = held;
    this.paint();
  }

  /** Show or hide all marks on the picture. */
  toggleMarks() {
    this.marksHidden = !this.marksHidden;
    this.paint();
  }

  chooseFace(choosing = true) {
    this.choosingAgain = choosing;
    this.set(this.state);
    if (choosing && !this.state.found) attempt(() => json("POST", place(this.state.id, "/faces")));
  }

  /** Ask for something that answers with how things are then; one thing after the other. A body may be a function of what was answered before. */
  act(method, path, body) {
    const { id } = this.state;
    this.asking = this.asking.then(async () => {
      const state = await attempt(() => json(method, place(id, path), typeof body === "function" ? body() : body));
      if (state) this.app.setState(state);
      return state;
    });
    return this.asking;
  }

  async putArea(png, how) {
    if (!(await this.act("PUT", `/mask?how=${how}`, png ?? new Blob([])))) this.loadArea();
  }

  step(name) {
    return this.act("POST", `/${name}`);
  }

  start() {
    if (this.points.pending) this.points.abort();
    if (this.tool === "area") this.setTool("points");
    this.setComparing(false);
    return this.act("POST", "/drag");
  }

  steer(action) {
    return this.act("POST", "/job", { action });
  }
}

/** Whether there is a picture that the network has made of the face. */
const networkHas = (state) => Boolean(state.face && (state.made.tune || state.made.drag || state.jobs.drag));

/** The network's picture of the face, while it learns it. */
class Learning {
  constructor() {
    this.drawn = false;
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "live", role: "img", "aria-label": say("learning") }));
    this.element = h("section", { class: "learning", hidden: true }, this.canvas, h("p", { class: "hint" }, say("learning")));
  }

  draw(bitmap) {
    this.drawn = true;
    this.canvas.width = bitmap.width;
    this.canvas.height = bitmap.height;
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    this.element.hidden = false;
  }
}

/** What a button undoes, and its key. */
function titled(key, edit, keys) {
  if (edit === null) return `${say(`${key}.nothing`)} (${keys})`;
  const what = edit.number === null ? say(`edit.${edit.what}`) : say(`edit.${edit.what}.one`, { number: edit.number });
  return `${say(`${key}.what`, { what })} (${keys})`;
}
