// The place where a face is dragged: picture, tools, points, area, drags, saving.

import { ask, attempt, blob, json, pictureUrl, place } from "./api.js";
import { button, h, toast } from "./dom.js";
import { apply } from "./geometry.js";
import { Mask } from "./mask.js";
import { Points } from "./points.js";
import { Saving } from "./save.js";
import { Viewport } from "./viewport.js";
import { STAGES } from "./words.js";

/** Everything about a photo that is ready to be dragged. */
export class Editor {
  /** @param {any} app @param {any} state @param {boolean} justReady */
  constructor(app, state, justReady) {
    this.app = app;
    this.pictures = {};
    this.view = "face";
    this.tool = "points";
    this.comparing = false;
    this.held = false;
    this.showTracks = true;
    this.viewport = new Viewport("The picture. Press on the face and drag to where it should go.");
    this.points = new Points(this.viewport, (points, what) => this.put("points", { points, what }));
    this.mask = new Mask(this.viewport, (png) => this.putMask(png));
    this.saving = new Saving(() => this.state);
    this.viewport.onPaint = () => { this.points.render(); this.placeChips(); };
    this.viewport.onPress = (xy, event) => this.press(xy, event);
    this.viewport.onMove = (xy, event) => this.gesture?.move(xy, event);
    this.viewport.onRelease = (xy, event) => { this.gesture?.release(xy, event); this.gesture = null; };
    this.viewport.onAbort = () => { this.gesture?.abort(); this.gesture = null; };
    this.viewport.onHover = (xy) => this.hover(xy);
    this.build();
    this.keys = (event) => this.key(event);
    this.keysUp = (event) => { if (event.key === "c" || event.key === "C") this.hold(false); };
    document.addEventListener("keydown", this.keys);
    document.addEventListener("keyup", this.keysUp);
    this.set(state);
    if (justReady) this.setComparing(true);
    if (justReady) toast("The face is ready. Slide to compare it with your photo, then press where something should move.");
  }

  destroy() {
    document.removeEventListener("keydown", this.keys);
    document.removeEventListener("keyup", this.keysUp);
  }

  // ------------------------------------------------------------------------------- building

  build() {
    const bare = { bare: true };
    this.tools = {
      points: button("Points", "point", () => this.setTool("points"), { keys: "P" }),
      mask: button("Area", "brush", () => this.setTool("mask"), { keys: "A", title: "Paint the area that may change" }),
      hand: button("Move", "hand", () => this.setTool("hand"), { keys: "M", title: "Move the picture" }),
    };
    this.views = {
      face: button("Face", null, () => this.setView("face"), { keys: "F" }),
      photo: button("Photo", null, () => this.setView("photo"), { keys: "F" }),
    };
    this.compareButton = button("Compare", "compare", () => this.setComparing(!this.comparing), { title: "Before and after with a slider" });
    this.undoButton = button("Undo", "undo", () => this.step("undo"), { ...bare, keys: "Ctrl+Z" });
    this.redoButton = button("Redo", "redo", () => this.step("redo"), { ...bare, keys: "Ctrl+Shift+Z" });
    this.resetButton = button("Start over from the unedited face", "reset", () => this.step("reset"), bare);
    this.zoomButtons = h("div", { class: "segment zooms", role: "group", "aria-label": "Zoom" },
      button("Zoom out", "minus", () => this.viewport.zoomBy(1 / 1.4), { ...bare, keys: "-" }),
      button("Show all", "fit", () => this.viewport.fit(), { ...bare, keys: "0" }),
      button("Zoom in", "plus", () => this.viewport.zoomBy(1.4), { ...bare, keys: "+" }));
    const toolbar = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Tools" },
      h("div", { class: "segment", role: "group", "aria-label": "Tool" }, ...Object.values(this.tools)),
      h("div", { class: "segment", role: "group", "aria-label": "Show" }, ...Object.values(this.views)),
      h("div", { class: "segment", role: "group", "aria-label": "History" }, this.undoButton, this.redoButton, this.resetButton),
      this.compareButton);
    this.chip = h("p", { class: "chip may", hidden: true }, h("span", { class: "swatch", "aria-hidden": "true" }), "This may change");
    this.brushRing = h("span", { class: "brush-ring", hidden: true, "aria-hidden": "true" });
    this.beforeChip = h("p", { class: "chip before", hidden: true }, "Before");
    this.afterChip = h("p", { class: "chip after", hidden: true }, "After");
    this.slider = /** @type {HTMLInputElement} */ (h("input", { type: "range", min: 0, max: 1000, value: 500, class: "compare-slider",
      "aria-label": "Before and after", oninput: () => this.paint() }));
    this.compareBar = h("div", { class: "compare-bar", hidden: true }, h("span", {}, "Before"), this.slider, h("span", {}, "After"));
    this.viewport.element.append(this.chip, this.beforeChip, this.afterChip, this.brushRing);
    this.startButton = button("Start", "play", () => this.start(), { kind: "primary", keys: "Space" });
    this.pauseButton = button("Pause", "pause", () => this.steer(this.state.job?.paused ? "continue" : "pause"), { keys: "Space" });
    this.stopButton = button("Stop", "stop", () => this.steer("stop"));
    this.holdButton = button("Hold to compare", "compare", () => {}, { keys: "hold C", title: "See the picture as it was while you hold this", kind: "hold" });
    for (const [name, on] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["pointercancel", false]]) {
      this.holdButton.addEventListener(name, () => this.hold(on));
    }
    this.holdButton.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); this.hold(true); } });
    this.holdButton.addEventListener("keyup", (event) => { if (event.key === "Enter" || event.key === " ") this.hold(false); });
    this.status = h("p", { class: "status", role: "status" });
    this.progress = /** @type {HTMLProgressElement} */ (h("progress", { max: 1, value: 0, "aria-label": "Steps of the drag", hidden: true }));
    const controls = h("div", { class: "controls" }, h("div", { class: "row buttons" }, this.startButton, this.pauseButton, this.stopButton, this.holdButton),
      h("div", { class: "grow state" }, this.status, this.progress), this.zoomButtons);
    this.addButton = button("Add a point", "plus", () => { this.setTool("points"); this.points.add(); }, { title: "In the middle; then move it with the arrow keys" });
    this.clearButton = button("Clear all", "close", () => this.points.clear());
    this.pointsHint = h("p", { class: "hint" }, "Press on the face where something should move, and drag to where it should go.");
    this.tracksBox = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", id: "tracks", checked: true, onchange: () => { this.showTracks = this.tracksBox.checked; this.set(this.state); } }));
    this.again = button("Another face", "photo", () => this.app.chooseFace(), { title: "Choose the face again, or prepare it with other settings" });
    this.quality = h("p", { class: "hint" });
    const section = (title, ...content) => h("section", { "data-about": title }, h("h2", {}, title), ...content);
    this.panel = h("aside", { class: "panel", "aria-label": "Points, area and saving" },
      section("Points", this.points.list, this.pointsHint, h("div", { class: "row wrap" }, this.addButton, this.clearButton),
        h("label", { class: "row", for: "tracks" }, this.tracksBox, h("span", {}, "Show tracks"))),
      section("What may change", this.mask.element),
      section("Save", this.saving.element),
      section("This face", this.quality, h("div", { class: "row wrap" }, this.again)));
    this.element = h("div", { class: "editor" },
      h("div", { class: "stage" }, toolbar, this.viewport.element, this.compareBar, controls), this.panel);
    this.setTool("points");
  }

  // ---------------------------------------------------------------------------------- state

  get dragging() {
    return this.state?.job?.kind === "drag";
  }

  set(state) {
    const before = this.state;
    this.state = state;
    this.viewport.setWorld(this.view, state.face, state.photo);
    const busy = Boolean(state.job);
    this.points.locked = busy;
    this.mask.setLocked(busy);
    const tracks = !this.showTracks ? [] : this.dragging ? state.tracks : state.edit.drag ? state.drag?.tracks ?? [] : [];
    this.points.set(state.edit.points, structuredClone(tracks));
    this.points.drift.look(state);
    if (this.dragging && tracks.some((track) => track.length)) this.points.setLive(tracks.map((track) => track.at(-1)));
    if (!before || before.edit.mask !== state.edit.mask || before.face.size !== state.face.size) this.loadMask();
    this.load();
    this.saving.set(state);
    this.undoButton.disabled = busy || state.edit.undo === null;
    this.redoButton.disabled = busy || state.edit.redo === null;
    this.undoButton.title = state.edit.undo === null ? "Nothing to undo (Ctrl+Z)" : `Undo: ${state.edit.undo} (Ctrl+Z)`;
    this.redoButton.title = state.edit.redo === null ? "Nothing to redo (Ctrl+Shift+Z)" : `Redo: ${state.edit.redo} (Ctrl+Shift+Z)`;
    this.resetButton.disabled = busy || (!state.edit.drag && !state.edit.points.length && !state.edit.mask);
    this.addButton.disabled = busy;
    this.clearButton.disabled = busy || !state.edit.points.length;
    this.again.disabled = busy;
    this.pointsHint.hidden = state.edit.points.length > 0;
    const psnr = state.fidelity.tune?.after?.psnr;
    this.quality.textContent = psnr ? `The rebuilt face matches the photo with ${psnr.toFixed(1)} dB (PSNR; above ${state.close_psnr} is close).` : "";
    this.showJob(state.job, before?.job);
    if (before?.job?.kind === "drag" && !state.job) {
      this.live = null;
      this.look();
    }
  }

  showJob(job) {
    const drag = job?.kind === "drag";
    this.startButton.hidden = drag;
    this.startButton.disabled = Boolean(job) || !this.state.edit.points.length;
    this.startButton.querySelector("span").textContent = this.state.edit.drag ? "Go on" : "Start";
    this.pauseButton.hidden = !drag;
    this.stopButton.hidden = !drag;
    if (drag) {
      const paused = job.paused;
      this.pauseButton.querySelector("span").textContent = paused ? "Continue" : "Pause";
      this.pauseButton.disabled = this.stopButton.disabled = job.ending || (job.stage !== null && job.stage !== "drag");
    }
    this.progress.hidden = !job;
    if (job && job.total) this.progress.value = job.step / job.total;
    else this.progress.removeAttribute("value");
    this.status.textContent = this.said(job);
    this.status.classList.toggle("strong", !job && Boolean(this.state.edit.drag));
    this.element.classList.toggle("dragging", drag);
  }

  said(job) {
    const { state } = this;
    if (job?.kind === "drag") {
      if (job.ending) return "Stopping …";
      if (!job.stage || (job.stage === "drag" && !job.total)) return "Starting …";
      if (job.stage !== "drag") return `${STAGES[job.stage] ?? job.stage} …`;
      const left = this.distanceLeft();
      return `${job.paused ? "Paused at step" : "Step"} ${job.step} of at most ${job.total}${left}`;
    }
    if (job) return `${STAGES[job.stage] ?? "Working"} …`;
    if (state.interrupted === "drag") return `The studio was closed during a drag. Press “${state.edit.drag ? "Go on" : "Start"}” to do it again.`;
    if (state.edit.drag && state.drag) return state.drag.stop_words;
    if (!state.edit.points.length) return "Set a point to begin.";
    return "Press Start, and watch it move.";
  }

  distanceLeft() {
    const away = this.points.pairs.map(({ handle, target }) => Math.hypot(handle[0] - target[0], handle[1] - target[1]));
    return away.length ? `, ${(away.reduce((a, b) => a + b) / away.length).toFixed(1)} px to go` : "";
  }

  // ------------------------------------------------------------------------------- pictures

  /** Load the pictures that the state names, and show them as they come. */
  async load() {
    const { state } = this;
    const edited = state.made.drag && state.made.result;
    const wanted = {
      aligned: state.made.align,
      photo: state.photo ? `${state.photo.width}x${state.photo.height}` : "1",
      face: edited ? `edited-${state.made.drag}` : `tuned-${state.made.tune}`,
      result: edited ? state.made.result : null,
    };
    await Promise.all(Object.entries(wanted).map(async ([slot, version]) => {
      if (this.pictures[slot]?.version === version) return;
      if (version === null) { delete this.pictures[slot]; return; }
      if (this.coming?.[slot] === version) return;
      (this.coming ??= {})[slot] = version;
      const name = slot === "face" ? (edited ? "edited" : "tuned") : slot;
      const bitmap = await loadBitmap(pictureUrl(state.id, name, version));
      if (bitmap && this.coming[slot] === version) this.pictures[slot] = { version, bitmap };
    }));
    if (!this.dragging) this.live = null;
    this.look();
  }

  look() {
    const has = (slot) => this.pictures[slot]?.bitmap ?? null;
    const look = this.viewport.look;
    if (this.view === "face") {
      look.before = has("aligned");
      look.after = has("face");
    } else {
      look.before = has("photo");
      look.after = has("result") ?? has("photo");
    }
    look.frame = this.live ?? null;
    this.paint();
  }

  paint() {
    const comparing = this.comparing || this.held;
    const share = this.held ? 1 : this.comparing ? Number(this.slider.value) / 1000 : 0;
    this.viewport.look.split = share;
    this.viewport.look.tint = this.mask.values ? this.mask.tint : null;
    this.viewport.look.tintStrength = this.tool === "mask" ? 1 : this.dragging ? 0.2 : 0.45;
    this.compareBar.hidden = !this.comparing;
    this.compareButton.setAttribute("aria-pressed", String(this.comparing));
    this.beforeChip.hidden = !comparing || share < 0.08;
    this.afterChip.hidden = !this.comparing || this.held || share > 0.92;
    this.chip.hidden = comparing || (!this.mask.values && this.tool !== "mask");
    this.points.group.toggleAttribute("hidden", comparing);
    this.points.group.style.setProperty("display", comparing ? "none" : "");
    this.viewport.paintSoon();
  }

  /** Keep what is written on the picture inside it. */
  placeChips() {
    const view = this.viewport;
    const [width, height] = view.size;
    const [x0] = apply(view.toScreen, [0, 0]);
    const [x1, y1] = apply(view.toScreen, view.worldSize);
    const style = view.element.style;
    for (const [name, room] of [["--left", x0], ["--right", width - x1], ["--below", height - y1]]) {
      style.setProperty(name, `${Math.max(Math.round(room), 0)}px`);
    }
  }

  async loadMask() {
    const { state } = this;
    const mask = state.edit.mask;
    const bitmap = mask ? await loadBitmap(`/api/${place(state.id, "/mask")}?v=${mask}`) : null;
    if (this.state.edit.mask === mask) this.mask.set(state.face.size, bitmap);
    this.paint();
  }

  frame(head, bitmap) {
    if (!this.dragging) return;
    this.live = bitmap;
    if (head.handles.length && !this.points.gesture) this.points.setLive(head.handles, this.showTracks);
    this.viewport.look.frame = bitmap;
    this.viewport.paint();
  }

  message(message) {
    if (message.type === "job") this.showJob(this.state.job);
  }

  // -------------------------------------------------------------------------------- actions

  press(xy, event) {
    this.gesture = this.comparing ? this.sliding : this.tool === "mask" ? this.mask : this.points;
    const taken = this.gesture.press(xy, event);
    if (!taken) this.gesture = null;
    return taken;
  }

  /** A press on the picture moves the slider while comparing. */
  get sliding() {
    const slide = (_xy, event) => {
      const view = this.viewport;
      const [left, right] = [0, view.worldSize[0]].map((x) => apply(view.toScreen, [x, 0])[0]);
      this.slider.value = String((1000 * (view.onScreen(event)[0] - left)) / (right - left));
      this.paint();
      return true;
    };
    return { press: slide, move: slide, release() {}, abort() {} };
  }

  hover(xy) {
    const shown = this.tool === "mask" && xy && !this.comparing && !this.mask.locked;
    this.brushRing.hidden = !shown;
    if (!shown) return;
    const screen = this.viewport.faceToScreen;
    const radius = this.mask.brush * Math.hypot(screen[0], screen[1]);
    const [x, y] = this.viewport.place(xy);
    const style = this.brushRing.style;
    style.setProperty("width", `${2 * radius}px`);
    style.setProperty("height", `${2 * radius}px`);
    style.setProperty("transform", `translate(${x - radius}px, ${y - radius}px)`);
  }

  setTool(tool) {
    this.tool = tool;
    for (const [name, each] of Object.entries(this.tools)) each.setAttribute("aria-pressed", String(name === tool));
    this.viewport.handMode = tool === "hand";
    this.viewport.element.dataset.tool = this.panel.dataset.tool = tool;
    this.points.active = tool !== "mask";
    this.points.pending = null;
    if (this.comparing && tool !== "hand") this.comparing = false;
    this.brushRing.hidden = true;
    this.setView(this.view);
  }

  setView(view) {
    this.view = view;
    for (const [name, each] of Object.entries(this.views)) each.setAttribute("aria-pressed", String(name === view));
    if (!this.state) return;
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

  put(what, body) {
    return attempt(() => json("PUT", place(this.state.id, `/${what}`), body)).then((state) => {
      if (state === undefined) this.set(this.state);
    });
  }

  async putMask(png) {
    const answer = await attempt(() => ask("PUT", place(this.state.id, "/mask"), png ?? new Blob([])));
    if (!answer) this.loadMask();
  }

  step(name) {
    return attempt(() => json("POST", place(this.state.id, `/${name}`)));
  }

  start() {
    if (this.points.pending) this.points.abort();
    if (this.tool === "mask") this.setTool("points");
    this.setComparing(false);
    return attempt(() => json("POST", place(this.state.id, "/drag")));
  }

  steer(action) {
    return attempt(() => json("POST", place(this.state.id, "/job"), { action }));
  }

  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector("dialog[open]") || target.closest("input:not([type=checkbox]):not([type=range]), select, textarea")) return;
    const command = event.ctrlKey || event.metaKey;
    const name = event.key.toLowerCase();
    const act = (action) => { event.preventDefault(); action(); };
    if (command) {
      if (name === "z" && event.shiftKey) act(() => this.redoButton.click());
      else if (name === "z") act(() => this.undoButton.click());
      else if (name === "y") act(() => this.redoButton.click());
      return;
    }
    if (event.altKey) return;
    if (name === "c") this.hold(true);
    else if (name === "p") this.setTool("points");
    else if (name === "a") this.setTool("mask");
    else if (name === "m") this.setTool("hand");
    else if (name === "f") this.setView(this.view === "face" ? "photo" : "face");
    else if (name === "+" || name === "=") this.viewport.zoomBy(1.4);
    else if (name === "-") this.viewport.zoomBy(1 / 1.4);
    else if (name === "0") this.viewport.fit();
    else if (name === "escape") this.points.abort();
    else if (name === " " && !target.closest("button, summary, a, input")) {
      act(() => (this.dragging ? this.pauseButton : this.startButton).click());
    }
  }
}

/** @param {string} url @returns {Promise<ImageBitmap|null>} */
async function loadBitmap(url) {
  const picture = await attempt(() => blob(url.replace(/^\/api\//, "")));
  return picture ? createImageBitmap(picture) : null;
}
