// The picture on the page: drawn, moved by a field, zoomed, panned. Points are in pixels of the face.

import { h, s } from "./dom.js";
import { after, apply, clamp, edges, fromRows, inverse } from "./geometry.js";
import { Gestures } from "./gestures.js";
import { warp } from "./warp.js";

const MAX_ZOOM = 40;
const MARGIN = 16;

/** Pixels of the screen that are moved at once while pictures follow one another; more at rest. */
const QUICK_PIXELS = 250_000;
const REST = 140;

/**
 * @typedef {{picture: CanvasImageSource, x: number, y: number, width: number, height: number}} Layer
 * a picture and where it lies in the world
 * @typedef {object} Look what is shown
 * @property {Layer[]} layers from below
 * @property {Layer[]} before
 * @property {import("./elastic.js").Field|null} field by which the layers are moved
 * @property {HTMLCanvasElement|null} tint the area that may change, as large as the face
 * @property {number} tintStrength 0 to 1
 * @property {number} split share of what is seen that shows `before`
 */

/** A canvas and an SVG layer over it; its world is the photo, or the network's picture of the face. */
export class Viewport {
  /** @param {string} label @param {number} region side of what fields move, in sides of the face */
  constructor(label, region) {
    this.region = region;
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "picture", "aria-hidden": "true" }));
    this.base = document.createElement("canvas");
    this.layer = s("svg", { class: "layer" });
    this.element = h("div", { class: "viewport", role: "group", "aria-label": label, tabindex: "-1" },
      this.canvas, this.layer);
    /** @type {Look} */
    this.look = { layers: [], before: [], field: null, tint: null, tintStrength: 1, split: 0 };
    this.view = "photo";
    /** Width and height of the aligned face. @type {[number, number]} */
    this.faceSize = [0, 0];
    this.worldSize = [1, 1];
    /** From face pixels to the world; null before a face is chosen. @type {import("./geometry.js").Affine|null} */
    this.toWorld = null;
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.touched = false;
    this.onPaint = () => {};
    this.gestures = new Gestures(this);
    new ResizeObserver(() => this.resized()).observe(this.element);
  }

  /**
   * Say what the world is: the photo with the face in it, or the face alone.
   * @param {"face"|"photo"} view
   * @param {any} face the state's face, or null
   * @param {any} photo the state's photo, or null
   */
  setWorld(view, face, photo) {
    const before = JSON.stringify([this.view, this.worldSize, this.toWorld]);
    this.view = view;
    this.faceSize = [face?.width ?? 0, face?.height ?? 0];
    if (view === "face") {
      this.worldSize = this.faceSize;
      this.toWorld = edges();
    } else {
      this.worldSize = [photo?.width ?? 1, photo?.height ?? 1];
      this.toWorld = face && after(edges(), inverse(fromRows(face.photo_to_aligned)));
    }
    if (before !== JSON.stringify([this.view, this.worldSize, this.toWorld])) this.fit();
  }

  /** Show the face, or all there is where there is none. */
  fit() {
    this.touched = false;
    if (this.view === "face" || !this.toWorld) this.fitAll();
    else this.fitFace();
  }

  fitAll() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.paintSoon();
  }

  fitFace() {
    const [right, bottom] = this.faceSize;
    const corners = [[0, 0], [right, 0], [right, bottom], [0, bottom]].map(([x, y]) => apply(this.toWorld, [x - 0.5, y - 0.5]));
    const sides = [0, 1].map((i) => {
      const values = corners.map((xy) => clamp(xy[i], 0, this.worldSize[i]));
      return [Math.min(...values), Math.max(...values)];
    });
    const [width, height] = this.size;
    const scale = Math.min((width - MARGIN) / (sides[0][1] - sides[0][0]), (height - MARGIN) / (sides[1][1] - sides[1][0]));
    this.zoom = clamp(scale / this.scaleOfAll, 1, MAX_ZOOM);
    this.centre = sides.map(([low, high], i) => (low + high) / 2 / this.worldSize[i]);
    this.panBy(0, 0);
  }

  resized() {
    if (!this.touched) this.fit();
    else this.paintSoon();
  }

  /** The longer side of the face: what lengths on it are shares of. */
  get faceSide() {
    return Math.max(...this.faceSize);
  }

  get size() {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  get scaleOfAll() {
    const [width, height] = this.size;
    const [w, q] = this.worldSize;
    return Math.max(Math.min((width - MARGIN) / w, (height - MARGIN) / q), 1e-4);
  }

  /** World to screen. @returns {import("./geometry.js").Affine} */
  get toScreen() {
    const [width, height] = this.size;
    const [w, q] = this.worldSize;
    const scale = this.scaleOfAll * this.zoom;
    return [scale, 0, 0, scale, width / 2 - this.centre[0] * w * scale, height / 2 - this.centre[1] * q * scale];
  }

  /** Face pixels to screen. */
  get faceToScreen() {
    return after(this.toScreen, this.toWorld ?? edges());
  }

  /** Pixels of the screen that a pixel of the face has. */
  get faceScale() {
    const screen = this.faceToScreen;
    return Math.hypot(screen[0], screen[1]);
  }

  /** @param {import("./geometry.js").XY} xy in face pixels */
  place(xy) {
    return apply(this.faceToScreen, xy);
  }

  /** Where a pointer is, in face pixels. @param {{clientX: number, clientY: number}} event */
  at(event) {
    return apply(inverse(this.faceToScreen), this.onScreen(event));
  }

  /** Where a pointer is, in pixels of the world. */
  inWorld(event) {
    return apply(inverse(this.toScreen), this.onScreen(event));
  }

  /** @returns {import("./geometry.js").XY} */
  onScreen(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** Keep a position on the face. */
  inside([x, y]) {
    const [width, height] = this.faceSize;
    return [clamp(x, -0.5, width - 0.5), clamp(y, -0.5, height - 0.5)];
  }

  isInside([x, y]) {
    const [width, height] = this.faceSize;
    return x >= -0.5 && y >= -0.5 && x <= width - 0.5 && y <= height - 0.5;
  }

  /** The part of the screen that the world covers: [left, top, right, bottom]. */
  get seen() {
    const [width, height] = this.size;
    const [x0, y0] = apply(this.toScreen, [0, 0]);
    const [x1, y1] = apply(this.toScreen, this.worldSize);
    return [Math.max(x0, 0), Math.max(y0, 0), Math.min(x1, width), Math.min(y1, height)];
  }

  /** Zoom by a factor around a place on the screen. */
  zoomBy(factor, [x, y] = this.size.map((v) => v / 2)) {
    const world = apply(inverse(this.toScreen), [x, y]);
    this.touched = true;
    this.zoom = clamp(this.zoom * factor, 1, MAX_ZOOM);
    const [sx, sy] = apply(this.toScreen, world);
    this.panBy(x - sx, y - sy);
  }

  panBy(dx, dy) {
    if (dx || dy) this.touched = true;
    const scale = this.toScreen[0];
    const limits = [0, 1].map((i) => {
      const room = this.size[i] / (this.worldSize[i] * scale);
      return room >= 1 ? 0 : (1 - room) / 2 + 0.02;
    });
    const moved = [dx / (this.worldSize[0] * scale), dy / (this.worldSize[1] * scale)];
    this.centre = [0, 1].map((i) => clamp(this.centre[i] - moved[i], 0.5 - limits[i], 0.5 + limits[i]));
    this.paintSoon();
  }

  paintSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  /** Draw what is seen. `quick` is for pictures that are soon followed by another. */
  paint(quick = false) {
    const [width, height] = this.size;
    if (!width || !height) return;
    const dots = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.base]) {
      if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
        canvas.width = Math.round(width * dots);
        canvas.height = Math.round(height * dots);
        this.drawn = null;
      }
    }
    this.layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.element.dataset.world = this.toScreen.join(" "); // for who drives the page
    this.element.dataset.face = this.toWorld ? this.faceToScreen.join(" ") : "";
    const { layers, before, field, tint, split } = this.look;
    this.drawBase(layers, dots);
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.base, 0, 0);
    if (field && this.toWorld && split < 1) this.drawMoved(context, field, dots, quick);
    context.setTransform(dots, 0, 0, dots, 0, 0);
    if (tint && split < 1) {
      context.save();
      context.globalAlpha = this.look.tintStrength;
      context.transform(...after(this.faceToScreen, inverse(edges())));
      context.drawImage(tint, 0, 0, ...this.faceSize);
      context.restore();
    }
    if (before.length && split > 0) {
      const [x0, y0, x1, y1] = this.seen;
      context.save();
      context.beginPath();
      context.rect(x0, y0, (x1 - x0) * split, y1 - y0);
      context.clip();
      this.drawLayers(context, before);
      context.restore();
    }
    this.onPaint();
  }

  drawLayers(context, layers) {
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.transform(...this.toScreen);
    for (const { picture, x, y, width, height } of layers) context.drawImage(picture, x, y, width, height);
  }

  /** Draw the layers as they are, unless that is done already. */
  drawBase(layers, dots) {
    const screen = String(this.toScreen);
    if (this.drawn?.layers === layers && this.drawn.screen === screen) return;
    const context = this.base.getContext("2d", { willReadFrequently: true });
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.clearRect(0, 0, this.base.width, this.base.height);
    context.save();
    this.drawLayers(context, layers);
    context.restore();
    this.drawn = { layers, screen, pixels: null };
  }

  /** Draw the part of the base that a field moves. */
  drawMoved(context, field, dots, quick) {
    const half = (this.faceSide * this.region) / 2;
    const middle = this.faceSize.map((side) => (side - 1) / 2);
    const toCanvas = after([dots, 0, 0, dots, 0, 0], this.faceToScreen);
    const corners = [[-half, -half], [half, -half], [half, half], [-half, half]].map(([x, y]) => apply(toCanvas, [middle[0] + x, middle[1] + y]));
    const [x0, y0] = [0, 1].map((i) => Math.max(Math.floor(Math.min(...corners.map((xy) => xy[i]))), 0));
    const x1 = Math.min(Math.ceil(Math.max(...corners.map(([x]) => x))), this.base.width);
    const y1 = Math.min(Math.ceil(Math.max(...corners.map(([, y]) => y))), this.base.height);
    const [w, q] = [x1 - x0, y1 - y0];
    if (w < 2 || q < 2) return;
    this.drawn.pixels ??= this.base.getContext("2d", { willReadFrequently: true }).getImageData(x0, y0, w, q);
    const step = quick ? Math.max(1, Math.ceil(Math.sqrt((w * q) / QUICK_PIXELS))) : 1;
    const result = new ImageData(Math.ceil(w / step), Math.ceil(q / step));
    // A pixel's centre lies half a pixel from its corner, as a cell's does.
    const cell = (this.faceSide * this.region) / field.n;
    const toFace = after(inverse(toCanvas), [1, 0, 0, 1, x0 + 0.5, y0 + 0.5]);
    const toCell = after([1 / cell, 0, 0, 1 / cell, (half - middle[0]) / cell - 0.5, (half - middle[1]) / cell - 0.5], toFace);
    const fromWay = [toCanvas[0], toCanvas[1], toCanvas[2], toCanvas[3]].map((value) => value * cell);
    warp(this.drawn.pixels, result, step, field, toCell, /** @type {any} */ (fromWay));
    this.moved ??= document.createElement("canvas");
    this.moved.width = result.width;
    this.moved.height = result.height;
    this.moved.getContext("2d").putImageData(result, 0, 0);
    context.imageSmoothingEnabled = true;
    context.clearRect(x0, y0, w, q);
    context.drawImage(this.moved, x0, y0, result.width * step, result.height * step);
    clearTimeout(this.resting);
    if (step > 1) this.resting = setTimeout(() => this.paintSoon(), REST);
  }
}
