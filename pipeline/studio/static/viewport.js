// The picture on the page: drawn, zoomed, panned. Everything on it is in pixels of the aligned face.

import { after, apply, clamp, edges, far, fromRows, inverse } from "./geometry.js";
import { h, s } from "./dom.js";

const MAX_ZOOM = 16;

/**
 * @typedef {object} Look what is shown
 * @property {"face"|"photo"} view
 * @property {CanvasImageSource|null} after the picture, as large as the view's world
 * @property {CanvasImageSource|null} before
 * @property {CanvasImageSource|null} frame a live face that lies over it
 * @property {HTMLCanvasElement|null} tint the area that may change, as large as the face
 * @property {number} tintStrength 0 to 1
 * @property {number} split share of the width that shows `before`
 */

/** A canvas and an SVG layer over it; `picture` says what is on them. */
export class Viewport {
  /** @param {string} label */
  constructor(label) {
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "picture", "aria-hidden": "true" }));
    this.layer = s("svg", { class: "layer" });
    this.element = h("div", { class: "viewport", role: "group", "aria-label": label, tabindex: "-1" },
      this.canvas, this.layer);
    /** @type {Look} */
    this.look = { view: "face", after: null, before: null, frame: null, tint: null, tintStrength: 1, split: 0 };
    this.faceSize = 128;
    this.worldSize = [128, 128];
    /** @type {import("./geometry.js").Affine} */
    this.toWorld = edges();
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.pointers = new Map();
    this.panning = false;
    this.onPaint = () => {};
    /** Set by who edits: gets presses that do not pan. Returns true when it takes one. */
    this.onPress = (_xy, _event) => false;
    this.onMove = (_xy, _event) => {};
    this.onRelease = (_xy, _event) => {};
    this.onAbort = () => {};
    this.onHover = (_xy) => {};
    this.handMode = false;
    this.listen();
    new ResizeObserver(() => this.paintSoon()).observe(this.element);
  }

  /**
   * Say what the world is: the face alone, or the photo with the face in it.
   * @param {"face"|"photo"} view
   * @param {any} face the state's face
   * @param {any} photo the state's photo
   */
  setWorld(view, face, photo) {
    const changed = view !== this.look.view || face.size !== this.faceSize;
    this.look.view = view;
    this.faceSize = face.size;
    if (view === "face") {
      this.worldSize = [face.size, face.size];
      this.toWorld = edges();
    } else {
      this.worldSize = [photo.shown_width, photo.shown_height];
      const scale = photo.shown_width / photo.width;
      this.toWorld = after(edges(scale), inverse(fromRows(face.photo_to_aligned)));
    }
    if (changed) this.fit();
  }

  fit() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.paintSoon();
  }

  get size() {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  /** World to screen. @returns {import("./geometry.js").Affine} */
  get toScreen() {
    const [width, height] = this.size;
    const [w, q] = this.worldSize;
    const margin = 16;
    const scale = Math.max(Math.min((width - margin) / w, (height - margin) / q), 0.01) * this.zoom;
    return [scale, 0, 0, scale, width / 2 - this.centre[0] * w * scale, height / 2 - this.centre[1] * q * scale];
  }

  /** Face pixels to screen. */
  get faceToScreen() {
    return after(this.toScreen, this.toWorld);
  }

  /** @param {import("./geometry.js").XY} xy in face pixels */
  place(xy) {
    return apply(this.faceToScreen, xy);
  }

  /** Where a pointer is, in face pixels. @param {PointerEvent|MouseEvent} event */
  at(event) {
    return apply(inverse(this.faceToScreen), this.onScreen(event));
  }

  /** @returns {import("./geometry.js").XY} */
  onScreen(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** Keep a position on the face. */
  inside([x, y]) {
    const edge = this.faceSize - 0.5;
    return [clamp(x, -0.5, edge), clamp(y, -0.5, edge)];
  }

  isInside([x, y]) {
    const edge = this.faceSize - 0.5;
    return x >= -0.5 && y >= -0.5 && x <= edge && y <= edge;
  }

  /** Zoom by a factor around a place on the screen. */
  zoomBy(factor, [x, y] = this.size.map((v) => v / 2)) {
    const world = apply(inverse(this.toScreen), [x, y]);
    this.zoom = clamp(this.zoom * factor, 1, MAX_ZOOM);
    this.keepUnder(world, [x, y]);
  }

  /** Move the world so that a place of it lies at a place of the screen. */
  keepUnder(world, [x, y]) {
    const [sx, sy] = apply(this.toScreen, world);
    this.panBy(x - sx, y - sy);
  }

  panBy(dx, dy) {
    const scale = this.toScreen[0];
    const limits = [0, 1].map((i) => {
      const room = this.size[i] / (this.worldSize[i] * scale);
      return room >= 1 ? 0 : (1 - room) / 2 + 0.08;
    });
    const moved = [dx / (this.worldSize[0] * scale), dy / (this.worldSize[1] * scale)];
    this.centre = [0, 1].map((i) => clamp(this.centre[i] - moved[i], 0.5 - limits[i], 0.5 + limits[i]));
    this.paintSoon();
  }

  listen() {
    const area = this.element;
    area.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-clamp(event.deltaY, -120, 120) / 300), this.onScreen(event));
    }, { passive: false });
    area.addEventListener("contextmenu", (event) => event.preventDefault());
    area.addEventListener("pointerdown", (event) => this.pressed(event));
    area.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) {
      area.addEventListener(name, (event) => this.released(event));
    }
    area.addEventListener("pointerleave", () => this.onHover(null));
  }

  pressed(event) {
    this.pointers.set(event.pointerId, this.onScreen(event));
    capture(this.element, event.pointerId);
    if (this.pointers.size === 2) {
      if (this.pressing) this.onAbort();
      this.pressing = false;
      this.panning = true;
    } else if (this.handMode || event.button === 1 || event.button === 2) {
      this.panning = true;
    } else if (this.pointers.size === 1) {
      this.pressing = this.onPress(this.at(event), event);
      this.panning = !this.pressing;
    }
    this.element.classList.toggle("panning", this.panning);
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.onHover(this.at(event));
      return;
    }
    const now = this.onScreen(event);
    if (this.panning && this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, xy]) => xy);
      const middle = (p) => [(p[0] + other[0]) / 2, (p[1] + other[1]) / 2];
      this.zoomBy(far(now, other) / Math.max(far(before, other), 1), middle(before));
      const [from, to] = [middle(before), middle(now)];
      this.panBy(to[0] - from[0], to[1] - from[1]);
    } else if (this.panning) {
      this.panBy(now[0] - before[0], now[1] - before[1]);
    } else if (this.pressing) {
      this.onMove(this.at(event), event);
    }
    this.pointers.set(event.pointerId, now);
    this.onHover(this.at(event));
  }

  released(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.pressing) {
      if (event.type === "pointercancel") this.onAbort();
      else this.onRelease(this.at(event), event);
    }
    this.pressing = false;
    if (this.pointers.size === 0) this.panning = false;
    this.element.classList.toggle("panning", this.panning);
  }

  paintSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const [width, height] = this.size;
    if (!width || !height) return;
    const dots = window.devicePixelRatio || 1;
    const canvas = this.canvas;
    if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
      canvas.width = Math.round(width * dots);
      canvas.height = Math.round(height * dots);
    }
    this.layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const context = canvas.getContext("2d");
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const { after: shown, before, frame, tint, split, view } = this.look;
    const screen = this.toScreen;
    const [w, q] = this.worldSize;
    const inWorld = (draw) => {
      context.save();
      context.transform(...screen);
      draw();
      context.restore();
    };
    const onFace = (picture) => {
      context.save();
      context.transform(...after(this.faceToScreen, inverse(edges())));
      context.drawImage(picture, 0, 0, this.faceSize, this.faceSize);
      context.restore();
    };
    if (shown) inWorld(() => context.drawImage(shown, 0, 0, w, q));
    if (frame && split < 1) onFace(view === "photo" ? this.softened(frame) : frame);
    if (tint && split < 1) {
      context.globalAlpha = this.look.tintStrength;
      onFace(tint);
      context.globalAlpha = 1;
    }
    if (before && split > 0) {
      context.save();
      const [x0, y0] = apply(screen, [0, 0]);
      const [x1, y1] = apply(screen, [w, q]);
      context.beginPath();
      context.rect(x0, y0, (x1 - x0) * split, y1 - y0);
      context.clip();
      inWorld(() => context.drawImage(before, 0, 0, w, q));
      context.restore();
      if (split < 1) {
        context.fillStyle = "rgba(255,255,255,.9)";
        context.fillRect(x0 + (x1 - x0) * split - 1, y0, 2, y1 - y0);
      }
    }
    this.onPaint();
  }

  /** Fade a face out towards its edges, so that it lies in the photo without a seam. */
  softened(frame) {
    const size = 256;
    this.soft ??= Object.assign(document.createElement("canvas"), { width: size, height: size });
    const context = this.soft.getContext("2d");
    context.globalCompositeOperation = "copy";
    context.drawImage(frame, 0, 0, size, size);
    context.globalCompositeOperation = "destination-in";
    for (const [x, y] of [[size, 0], [0, size]]) {
      const fade = context.createLinearGradient(0, 0, x, y);
      fade.addColorStop(0, "transparent");
      fade.addColorStop(0.14, "black");
      fade.addColorStop(0.86, "black");
      fade.addColorStop(1, "transparent");
      context.fillStyle = fade;
      context.fillRect(0, 0, size, size);
    }
    return this.soft;
  }
}

function capture(element, id) {
  try {
    element.setPointerCapture(id);
  } catch { /* the pointer has gone already */ }
}
