// The page of a photo, from its first look to what is saved: the picture, and beside it what can be done.

import { Area } from "./area.js";
import { attempt, blob, fieldOf, json, place } from "./api.js";
import { Bar } from "./bar.js";
import { Choosing } from "./choosing.js";
import { Controls } from "./controls.js";
import { Divider } from "./compare.js";
import { h } from "./dom.js";
import { Hover } from "./hover.js";
import { Keys } from "./keys.js";
import { Likeness } from "./likeness.js";
import { loadNetworks } from "./networks.js";
import { Panel } from "./panel.js";
import { Parts } from "./parts.js";
import { Points } from "./points.js";
import { PointsList } from "./pointslist.js";
import { Saving } from "./save.js";
import { say } from "./say.js";
import { Seen } from "./seen.js";
import { Toolbar, networkHas } from "./toolbar.js";
import { Viewport } from "./viewport.js";

/** @param {any} face a state's face, or null @returns {number[]} */
const sizeOf = (face) => [face?.width ?? 0, face?.height ?? 0];

/** Everything about one photo. What goes on is worked out from `state`, which the studio alone changes. */
export class PhotoPage {
  /** @param {any} app @param {any} state */
  constructor(app, state) {
    const { elastic, likeness } = app.about;
    this.app = app;
    this.state = state;
    this.view = "photo";
    this.tool = "points";
    this.comparing = false;
    this.held = false;
    this.marksHidden = false;
    this.choosingAgain = false;
    this.asking = Promise.resolve();
    /** What is known of the parts of the shown face. */
    this.parts = new Parts([]);
    this.viewport = new Viewport(say("viewport"), elastic.region);
    this.points = new Points(this.viewport, (change) => this.act("PATCH", "/points", change), () => this.changed());
    this.pointsList = new PointsList(this.points);
    this.area = new Area(this.viewport, (png, how) => this.putArea(png, how), () => this.points.pairs.flatMap(({ handle, target }) => [handle, target]));
    this.points.keeps = (xy) => this.area.keeps(xy);
    this.saving = new Saving(() => this.state);
    this.choosing = new Choosing(this.viewport, { leave: () => this.chooseFace(false), changed: () => this.refresh(), apply: (next) => app.setState(next) });
    this.divider = new Divider(this.viewport, () => this.seen.paint());
    const like = (photo, parts, strength) => this.act("POST", `/controls/like?${new URLSearchParams({ parts: parts.join(","), strength: String(strength), file: photo.name })}`, photo);
    this.named = new Controls((controls) => this.act("PUT", "/controls", { controls }),
      async (controls) => this.state.face && fieldOf(await attempt(() => json("POST", place(this.state.id, "/controls/preview"), { controls }))),
      () => { this.refresh(); this.seen.stretch(); }, new Likeness(like, likeness));
    this.seen = new Seen(this, elastic);
    this.hovering = new Hover(this);
    this.toolbar = new Toolbar(this);
    this.bar = new Bar(this);
    this.panel = new Panel(this);
    this.element = h("div", { class: "photo-page" },
      h("div", { class: "stage" }, this.toolbar.element, this.viewport.element, this.bar.element), this.panel.element);
    this.listen();
    this.keys = new Keys(this);
    this.set(state);
    this.setTool("points");
    loadNetworks().then(() => this.panel.refresh());
  }

  destroy() {
    this.keys.destroy();
    this.bar.destroy();
  }

  listen() {
    const { gestures } = this.viewport;
    this.viewport.onPaint = () => { this.points.render(); this.choosing.place(); this.divider.place(this.comparing); this.seen.placeChips(); };
    gestures.onPress = (xy, event) => this.press(xy, event);
    gestures.onMove = (xy, event) => { this.gesture?.move(xy, event); this.seen.stretch(); };
    gestures.onRelease = (xy, event) => { this.gesture?.release(xy, event); this.gesture = null; this.refresh(); };
    gestures.onAbort = () => { this.gesture?.abort(); this.gesture = null; this.refresh(); };
    gestures.onHover = (xy, event) => this.hovering.at(xy, event);
  }

  // ---------------------------------------------------------------------------------- state

  get dragging() {
    return Boolean(this.state.jobs.drag);
  }

  /** Whether something goes on that stands on the points as they are. */
  get busy() {
    return Boolean(this.state.jobs.drag || this.state.jobs.film);
  }

  /** Whether a face is to be chosen, rather than edited. */
  get isChoosing() {
    const { state } = this;
    return this.choosingAgain || !(state.ready || state.jobs.prepare);
  }

  set(state) {
    const before = this.known;
    this.state = this.known = state;
    if (state.jobs.prepare) this.choosingAgain = false;
    if (this.view === "face" && !networkHas(state)) this.view = "photo";
    this.choosing.set(state, this.isChoosing);
    this.viewport.setWorld(this.view, this.isChoosing ? null : state.face, state.photo);
    // Points that are moved end a paused drag, with the picture that it has come to.
    const steerable = state.jobs.drag?.paused && !state.jobs.film;
    this.points.locked = (this.busy && !steerable) || !state.face || this.isChoosing;
    this.area.setLocked(this.busy || this.points.locked);
    this.points.set(state.edit.points);
    this.points.drift.look(state);
    this.named.set(this.dragging ? this.named.amounts : state.edit.controls);
    if (this.dragging && state.edit.points.some(({ track }) => track.length)) this.points.setLive(state.edit.points.map(({ handle, track }) => track.at(-1) ?? handle));
    if (!before || before.edit.mask !== state.edit.mask || String(sizeOf(before.face)) !== String(sizeOf(state.face))) this.loadArea();
    this.seen.set(state);
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
    this.toolbar.refresh();
    this.panel.refresh();
    this.named.lock(this.busy || this.points.locked);
    this.element.classList.toggle("dragging", this.dragging);
    this.bar.refresh();
    this.seen.look();
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
    if (this.state.jobs.prepare?.number === head.job) this.panel.learning.draw(bitmap);
    if (!this.seen.frame(head, bitmap, field)) return;
    if (head.handles.length && !this.points.gesture) this.points.setLive(head.handles);
    this.seen.look();
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

  setTool(tool) {
    this.tool = tool;
    this.viewport.gestures.handMode = tool === "hand";
    this.viewport.element.dataset.tool = this.panel.element.dataset.tool = tool;
    if (tool === "area") this.panel.open("area");
    this.points.active = tool !== "area";
    this.points.pending = null;
    this.hovering.at(null, null);
    this.refresh();
  }

  setView(view) {
    this.view = view;
    this.viewport.setWorld(view, this.state.face, this.state.photo);
    this.refresh();
  }

  setComparing(comparing) {
    this.comparing = comparing;
    this.toolbar.refresh();
    this.seen.paint();
  }

  hold(held) {
    if (this.held === held) return;
    this.held = held;
    this.seen.paint();
  }

  /** Show or hide all marks on the picture. */
  toggleMarks() {
    this.marksHidden = !this.marksHidden;
    this.seen.paint();
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
