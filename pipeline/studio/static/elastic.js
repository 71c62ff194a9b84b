// How the photo follows points before any network has said how: kernels around the targets, as in
// pipeline/picture/motion.py (plain_motion). The studio says how wide; a test holds the two together.

/** @typedef {{n: number, way: Float32Array}} Field where pixels come from: n x n cells, xy in shares of the region's side */

const CELLS = 64;

/** Wendland's C2 kernel (1995). @param {number} distance in radii */
const kernel = (distance) => (distance >= 1 ? 0 : (1 - distance) ** 4 * (4 * distance + 1));

/** Cells that may move: not the border, and none that the area keeps in part. */
function freeCells(n, limits, [width, height], mask) {
  const border = Math.ceil(limits.wall * n);
  const free = new Uint8Array(n * n);
  for (let row = border; row < n - border; row += 1) free.fill(1, row * n + border, (row + 1) * n - border);
  if (!mask) return free;
  const region = Math.max(width, height) * limits.region;
  const cell = region / n;
  const start = [(width - region) / 2, (height - region) / 2];
  for (let row = 0; row < n; row += 1) {
    for (let column = 0; column < n; column += 1) {
      const [x0, y0] = [start[0] + column * cell, start[1] + row * cell];
      for (let y = Math.floor(y0); free[row * n + column] && y < y0 + cell; y += 1) {
        for (let x = Math.floor(x0); x < x0 + cell; x += 1) {
          const outside = x < 0 || y < 0 || x >= width || y >= height;
          if (outside || !mask[y * width + x]) { free[row * n + column] = 0; break; }
        }
      }
    }
  }
  return free;
}

/** Rise from 0 at what stays to 1 some cells inside of what may move. */
function fadeIn(free, n, over) {
  const far = n * n * 2;
  const distance = Float32Array.from(free, (value) => (value ? far : 0));
  const near = (i, j, by) => { if (distance[j] + by < distance[i]) distance[i] = distance[j] + by; };
  const at = (row, column) => row * n + column;
  for (const back of [false, true]) {
    for (let step = 0; step < n * n; step += 1) {
      const i = back ? n * n - 1 - step : step;
      const [row, column] = [Math.floor(i / n), i % n];
      const d = back ? 1 : -1;
      const inside = (r, c) => r >= 0 && c >= 0 && r < n && c < n;
      if (inside(row + d, column)) near(i, at(row + d, column), 1);
      if (inside(row, column + d)) near(i, at(row, column + d), 1);
      if (inside(row + d, column + d)) near(i, at(row + d, column + d), Math.SQRT2);
      if (inside(row + d, column - d)) near(i, at(row + d, column - d), Math.SQRT2);
    }
  }
  return distance.map((value) => {
    const t = Math.min(Math.max((value - 1) / (over * n), 0), 1);
    return t * t * (3 - 2 * t);
  });
}

/** Solve A x = b for several b at once, by elimination with pivots; rows that say nothing give 0. */
function solve(a, b) {
  const n = a.length;
  for (let k = 0; k < n; k += 1) {
    let best = k;
    for (let i = k + 1; i < n; i += 1) if (Math.abs(a[i][k]) > Math.abs(a[best][k])) best = i;
    [a[k], a[best]] = [a[best], a[k]];
    [b[k], b[best]] = [b[best], b[k]];
    if (Math.abs(a[k][k]) < 1e-3) { a[k].fill(0); a[k][k] = 1; b[k] = [0, 0]; continue; }
    for (let i = k + 1; i < n; i += 1) {
      const factor = a[i][k] / a[k][k];
      for (let j = k; j < n; j += 1) a[i][j] -= factor * a[k][j];
      b[i] = b[i].map((value, c) => value - factor * b[k][c]);
    }
  }
  const x = new Array(n);
  for (let k = n - 1; k >= 0; k -= 1) {
    x[k] = b[k].map((value, c) => {
      let left = value;
      for (let j = k + 1; j < n; j += 1) left -= a[k][j] * x[j][c];
      return left / a[k][k];
    });
  }
  return x;
}

/** Where a place of the face lies on the grid. */
export const onGrid = (xy, n, faceSize, region) =>
  xy.map((value, i) => ((value + 0.5 - faceSize[i] / 2) / (region * Math.max(...faceSize)) + 0.5) * n - 0.5);

/** Works out fields; what depends on the area alone is kept. */
export class Elastic {
  /** @param {{region: number, reach: number, fade: number, wall: number}} limits */
  constructor(limits) {
    this.limits = limits;
    this.known = {};
  }

  /**
   * Move what is around the points as a soft brush does; null when nothing moves.
   * @param {{handle: number[], target: number[]}[]} pairs
   * @param {number[]} faceSize width and height
   * @param {Uint8ClampedArray|null} mask what may change, in pixels of the face
   * @returns {Field|null}
   */
  field(pairs, faceSize, mask) {
    const moving = pairs.some(({ handle, target }) => Math.hypot(handle[0] - target[0], handle[1] - target[1]) > Math.max(...faceSize) / 256);
    if (!moving) return null;
    const n = CELLS;
    const { region, reach } = this.limits;
    const fade = this.fade(n, faceSize, mask);
    const ends = pairs.map(({ handle, target }) => [handle, target].map((xy) => onGrid(xy, n, faceSize, region)));
    const value = ([tx, ty], x, y) => kernel(Math.hypot(x - tx, y - ty) / (reach * n)) * fade[y * n + x];
    const read = (target, [x, y]) => {
      const [cx, cy] = [x, y].map((v) => Math.min(Math.max(v, 0), n - 1.001));
      const [left, top] = [Math.floor(cx), Math.floor(cy)];
      const [right, down] = [cx - left, cy - top];
      return (value(target, left, top) * (1 - right) + value(target, left + 1, top) * right) * (1 - down)
        + (value(target, left, top + 1) * (1 - right) + value(target, left + 1, top + 1) * right) * down;
    };
    const targets = ends.map(([, target]) => target);
    const shares = solve(targets.map((xy) => targets.map((each) => read(each, xy))),
      ends.map(([handle, target]) => [0, 1].map((c) => (handle[c] - target[c]) / n)));
    const way = new Float32Array(2 * n * n);
    targets.forEach((target, i) => {
      const radius = reach * n;
      const [x0, x1, y0, y1] = [target[0] - radius, target[0] + radius, target[1] - radius, target[1] + radius];
      for (let y = Math.max(Math.ceil(y0), 0); y <= Math.min(y1, n - 1); y += 1) {
        for (let x = Math.max(Math.ceil(x0), 0); x <= Math.min(x1, n - 1); x += 1) {
          const weight = value(target, x, y);
          way[2 * (y * n + x)] += weight * shares[i][0];
          way[2 * (y * n + x) + 1] += weight * shares[i][1];
        }
      }
    });
    return { n, way };
  }

  fade(n, faceSize, mask) {
    if (this.known.mask !== mask || String(this.known.faceSize) !== String(faceSize)) {
      const free = freeCells(n, this.limits, faceSize, mask);
      this.known = { mask, faceSize, fade: fadeIn(free, n, this.limits.fade) };
    }
    return this.known.fade;
  }
}
