// Between the pictures of a drag, some of which are half a second apart, the photo glides.

/** @typedef {import("./elastic.js").Field} Field */

/** No glide takes longer, in milliseconds, nor shows more pictures a second: the drag needs the cores. */
const LONGEST = 700;
const INTERVAL = 60;

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Goes evenly from the field that is shown to the next one, in the time since the last came. */
export class Gliding {
  /** @param {() => void} draw what is to be done when the field has changed */
  constructor(draw) {
    this.draw = draw;
    /** @type {Field|null} */
    this.shown = null;
    this.came = 0;
    this.timer = 0;
  }

  /** Show nothing any more. */
  end() {
    clearTimeout(this.timer);
    this.shown = null;
  }

  /** The next field has come; without one before, or of another size, it is shown at once. @param {Field|null} next */
  to(next) {
    clearTimeout(this.timer);
    const now = performance.now();
    const lasts = Math.min(now - this.came, LONGEST);
    const start = this.shown;
    this.came = now;
    if (!next || !start || start.n !== next.n || still()) {
      this.shown = next;
      return;
    }
    const go = () => {
      const share = Math.min((performance.now() - now) / lasts, 1);
      this.shown = share < 1 ? between(start, next, share) : next;
      this.draw();
      if (share < 1) this.timer = setTimeout(go, INTERVAL);
    };
    this.timer = setTimeout(go, INTERVAL);
  }
}

/** @param {Field} start @param {Field} end @param {number} share @returns {Field} */
function between(start, end, share) {
  return { n: end.n, way: end.way.map((value, i) => start.way[i] + share * (value - start.way[i])) };
}
