// The pictures that a state names: loaded, and shown only when all that belong together are there.

import { attempt, blob, pictureUrl } from "./api.js";

/** What a state shows: the name of each picture, and the version that makes the browser load it. */
function wanted(state) {
  const { made } = state;
  const edited = made.drag && made.result;
  const photo = state.photo ? { photo: ["photo", "1"] } : {};
  const closeup = state.closeup ? made.align : null;
  return {
    before: { ...photo, ...(closeup && { closeup: ["closeup", closeup] }), ...(made.align && { face: ["aligned", made.align] }) },
    after: edited
      ? { photo: ["result", made.result], ...(closeup && { closeup: ["result-closeup", made.result] }), face: ["network", made.drag] }
      : { ...photo, ...(closeup && { closeup: ["closeup", closeup] }), ...(made.tune && { face: ["tuned", made.tune] }) },
  };
}

/** Keeps what is shown until what comes after it is there. */
export class Pictures {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.bitmaps = new Map();
    this.shown = null;
    this.asked = "";
    /** Whether what is shown is about to be followed by something newer. */
    this.waiting = false;
  }

  /** Bring up what a state shows. While a drag goes on, what it began with stays. @param {any} state */
  async set(state) {
    if (state.jobs.drag && this.shown) return;
    const names = wanted(state);
    const asked = JSON.stringify([state.id, names, state.closeup, state.face?.width, state.face?.height]);
    if (asked === this.asked) return;
    this.asked = asked;
    this.waiting = true;
    const all = [...Object.values(names.before), ...Object.values(names.after)];
    await Promise.all(all.map(([name, version]) => this.load(state.id, name, version)));
    if (asked !== this.asked) return;
    this.waiting = false;
    if (this.shown && !all.every(([name, version]) => this.bitmaps.has(`${name} ${version}`))) return;
    this.shown = { before: this.layers(state, names.before), after: this.layers(state, names.after) };
    const kept = new Set(all.map(([name, version]) => `${name} ${version}`));
    for (const key of this.bitmaps.keys()) if (!kept.has(key)) this.bitmaps.delete(key);
    this.changed();
  }

  async load(id, name, version) {
    const key = `${name} ${version}`;
    if (!this.bitmaps.has(key)) {
      this.bitmaps.set(key, (async () => {
        const picture = await attempt(() => blob(pictureUrl(id, name, version).replace(/^\/api\//, "")));
        return picture ? createImageBitmap(picture) : null;
      })());
    }
    const bitmap = await this.bitmaps.get(key);
    if (!bitmap) this.bitmaps.delete(key);
    else this.bitmaps.set(key, bitmap);
  }

  layers(state, names) {
    const bitmap = ([name, version] = ["", ""]) => {
      const found = this.bitmaps.get(`${name} ${version}`);
      return found && !(found instanceof Promise) ? found : null;
    };
    const photo = [];
    const whole = bitmap(names.photo);
    if (whole) photo.push({ picture: whole, x: 0, y: 0, width: state.photo.width, height: state.photo.height });
    const near = bitmap(names.closeup);
    if (near) photo.push({ picture: near, ...state.closeup });
    const face = bitmap(names.face);
    return { photo, face: face ? [{ picture: face, x: 0, y: 0, width: state.face.width, height: state.face.height }] : [] };
  }
}
