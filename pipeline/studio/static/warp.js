// A picture's own pixels, moved by a field.

/**
 * Move pixels on the screen. Every pixel is taken from where the field says, between four of the source's.
 * @param {ImageData} source what is seen without the field
 * @param {ImageData} result may be smaller: `step` pixels of the source make one of it
 * @param {number} step
 * @param {import("./elastic.js").Field} field
 * @param {import("./geometry.js").Affine} toCell from the source's pixels to the field's cells
 * @param {[number, number, number, number]} fromWay a way in cells times this is a way in the source's pixels
 */
export function warp(source, result, step, field, toCell, fromWay) {
  const from = new Uint32Array(source.data.buffer);
  const into = new Uint32Array(result.data.buffer);
  const [sw, sh] = [source.width, source.height];
  const { n, way } = field;
  const [a, b, c, d] = fromWay.map((value) => value * n);
  const last = n - 1.001;
  for (let row = 0; row < result.height; row += 1) {
    const y = row * step + (step - 1) / 2;
    for (let column = 0; column < result.width; column += 1) {
      const x = column * step + (step - 1) / 2;
      const gx = Math.min(Math.max(toCell[0] * x + toCell[2] * y + toCell[4], 0), last);
      const gy = Math.min(Math.max(toCell[1] * x + toCell[3] * y + toCell[5], 0), last);
      const left = gx | 0;
      const top = gy | 0;
      const fx = gx - left;
      const fy = gy - top;
      const i = 2 * (top * n + left);
      const j = i + 2 * n;
      const wx = (way[i] * (1 - fx) + way[i + 2] * fx) * (1 - fy) + (way[j] * (1 - fx) + way[j + 2] * fx) * fy;
      const wy = (way[i + 1] * (1 - fx) + way[i + 3] * fx) * (1 - fy) + (way[j + 1] * (1 - fx) + way[j + 3] * fx) * fy;
      const px = Math.min(Math.max(x + a * wx + c * wy, 0), sw - 1);
      const py = Math.min(Math.max(y + b * wx + d * wy, 0), sh - 1);
      const px0 = px | 0;
      const py0 = py | 0;
      const k = py0 * sw + px0;
      const across = px0 + 1 < sw ? 1 : 0;
      const below = py0 + 1 < sh ? sw : 0;
      const u = ((px - px0) * 256) | 0;
      const v = ((py - py0) * 256) | 0;
      into[row * result.width + column] = mixed(mixed(from[k], from[k + across], u), mixed(from[k + below], from[k + below + across], u), v);
    }
  }
}

/** Mix two colours, `t` of 256 of the second: red and blue at once, then green and alpha. */
function mixed(p, q, t) {
  const rb = ((p & 0xff00ff) * (256 - t) + (q & 0xff00ff) * t) >>> 8;
  const ga = (((p >>> 8) & 0xff00ff) * (256 - t) + ((q >>> 8) & 0xff00ff) * t) >>> 0;
  return ((rb & 0xff00ff) | (ga & 0xff00ff00)) >>> 0;
}
