// Affine maps as [a, b, c, d, e, f]: x' = a x + c y + e, y' = b x + d y + f (as a canvas has them).

/** @typedef {[number, number, number, number, number, number]} Affine */
/** @typedef {[number, number]} XY */

/** @param {Affine} m @param {XY} p @returns {XY} */
export const apply = (m, [x, y]) => [m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]];

/** First n, then m. @param {Affine} m @param {Affine} n @returns {Affine} */
export const after = (m, n) => [
  m[0] * n[0] + m[2] * n[1], m[1] * n[0] + m[3] * n[1],
  m[0] * n[2] + m[2] * n[3], m[1] * n[2] + m[3] * n[3],
  m[0] * n[4] + m[2] * n[5] + m[4], m[1] * n[4] + m[3] * n[5] + m[5],
];

/** @param {Affine} m @returns {Affine} */
export function inverse([a, b, c, d, e, f]) {
  const det = a * d - b * c;
  return [d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det];
}

/** Read the upper rows of a 3x3 matrix. @param {number[][]} rows @returns {Affine} */
export const fromRows = ([[a, c, e], [b, d, f]]) => [a, b, c, d, e, f];

/** Pixel indices to lengths from the picture's corner, scaled. @returns {Affine} */
export const edges = (scale = 1) => [scale, 0, 0, scale, scale / 2, scale / 2];

/** @param {XY} p @param {XY} q */
export const far = (p, q) => Math.hypot(p[0] - q[0], p[1] - q[1]);

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
