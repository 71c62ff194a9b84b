// What is seen of a photo: which pictures, moved by which field, and what is written on them.

import { h } from "./dom.js";
import { Elastic } from "./elastic.js";
import { apply } from "./geometry.js";
import { Pictures } from "./pictures.js";
import { say } from "./say.js";

/** Puts together what the viewport shows. */
export class Seen {
  /** @param {import("./photo.js").PhotoPage} page @param {{region: number, reach: number, fade: number, wall: number}} limits of the elastic preview */
  constructor(page, limits) {
    this.page = page;
    this.elastic = new Elastic(limits);
    this.pictures = new Pictures(() => this.look());
    /** The latest picture of a drag: {job, seq, bitmap, field}; it stays until its result can be shown. */
    this.live = null;
    const chip = (name, ...content) => h("p", { class: `chip ${name}`, hidden: true }, ...content);
    this.chips = {
      may: chip("may", h("span", { class: "swatch", "aria-hidden": "true" }), say("area.chip")),
      network: chip("network", say("view.network.chip")),
      preview: chip("preview", say("preview.chip")),
      before: chip("before", say("compare.before")),
      after: chip("after", say("compare.after")),
    };
    page.viewport.element.append(...Object.values(this.chips));
  }

  /** Take over what the studio says. @param {any} state */
  set(state) {
    if (state.jobs.drag && state.jobs.drag.number !== this.live?.job) this.live = null;
    this.pictures.set(state);
  }

  /** A drag's picture has come; tells whether it is newer than what is shown. */
  frame(head, bitmap, field) {
    if (this.page.state.jobs.drag?.number !== head.job || this.live?.seq >= head.seq) return false;
    this.live = { job: head.job, seq: head.seq, bitmap, field };
    return true;
  }

  /** Put together what is seen: pictures that belong together, and the latest of a job over them. */
  look() {
    const { shown } = this.pictures;
    const { viewport, view, dragging } = this.page;
    const { look } = viewport;
    if (!shown) return;
    if (this.live && !dragging && !this.pictures.waiting) this.live = null;
    // A drag's field says how the photo moves from what it was at first.
    look.layers = (this.live && view === "photo" ? shown.before : shown.after)[view];
    look.before = shown.before[view];
    if (this.live && view === "face") {
      const [width, height] = viewport.faceSize;
      look.layers = [{ picture: this.live.bitmap, x: 0, y: 0, width, height }];
    }
    this.stretch(false);
    this.paint();
  }

  /** Move the photo as the network says, or else, at once, as the points do. */
  stretch(quick = true) {
    const { state, viewport, view, isChoosing, named, points, dragging, area } = this.page;
    const { look } = viewport;
    if (view !== "photo" || !state.face || isChoosing) look.field = null;
    else if (this.live) look.field = this.live.field;
    else if (named.field && !points.gesture) look.field = named.field;
    else if (state.edit.stop && !points.gesture) look.field = null;
    else look.field = this.elastic.field(dragging ? state.edit.points : points.pairs, viewport.faceSize, area.values);
    if (quick) viewport.paint(true);
  }

  paint() {
    const { state, viewport, view, isChoosing, points, dragging, area, tool, held, divider, marksHidden } = this.page;
    const { look } = viewport;
    const comparing = this.page.comparing || held;
    const share = held ? 1 : this.page.comparing ? divider.share : 0;
    look.split = share;
    look.tint = area.values && !isChoosing ? area.tint : null;
    look.tintStrength = tool === "area" ? 1 : dragging ? 0.2 : 0.45;
    this.chips.preview.hidden = !look.field || dragging || Boolean(this.live) || comparing;
    this.chips.network.hidden = view !== "face" || comparing;
    this.chips.before.hidden = !comparing || share < 0.08;
    this.chips.after.hidden = !this.page.comparing || held || share > 0.92;
    this.chips.may.hidden = comparing || view === "face" || isChoosing || (!area.values && tool !== "area");
    points.hidden = held || marksHidden || isChoosing || !state.face;
    viewport.paintSoon();
  }

  /** Keep what is written on the picture inside it. */
  placeChips() {
    const { viewport } = this.page;
    const [width, height] = viewport.size;
    const [x0, y0] = apply(viewport.toScreen, [0, 0]);
    const [x1, y1] = apply(viewport.toScreen, viewport.worldSize);
    const { style } = viewport.element;
    for (const [name, room] of [["--left", x0], ["--right", width - x1], ["--below", height - y1], ["--above", y0]]) {
      style.setProperty(name, `${Math.max(Math.round(room), 0)}px`);
    }
  }
}
