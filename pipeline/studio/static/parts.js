// The parts of a face by their names: what a press would take hold of.
// Landmarks are 68 points in iBUG order, in pixels of the face; left and right are as one sees them.

import { far } from "./geometry.js";

/** How near a press has to be to take the landmark itself, as a share of the face's width. */
const SNAP = 0.05;

/** How near a place has to be to be called by a part's name. */
const NEAR = 0.13;

const mean = (points) => [0, 1].map((i) => points.reduce((sum, xy) => sum + xy[i], 0) / points.length);

/** Parts, and the landmarks in whose middle they lie; those that hold well are taken by a press near them. */
const PARTS = [
  ["eye.left", [36, 37, 38, 39, 40, 41], true], ["eye.right", [42, 43, 44, 45, 46, 47], true],
  ["lid.left", [37, 38], false], ["lid.right", [43, 44], false],
  ["eyeCorner.left", [36], true], ["eyeCorner.left", [39], true], ["eyeCorner.right", [42], true], ["eyeCorner.right", [45], true],
  ["brow.left", [18, 19, 20], false], ["brow.left", [17], false], ["brow.left", [21], true],
  ["brow.right", [23, 24, 25], false], ["brow.right", [26], false], ["brow.right", [22], true],
  ["nose.tip", [30], true], ["nose.wing", [31], true], ["nose.wing", [35], true], ["nose.bridge", [27, 28], false],
  ["mouthCorner.left", [48], true], ["mouthCorner.right", [54], true],
  ["lip.upper", [51, 62], true], ["lip.lower", [57, 66], true],
  ["chin", [8], true], ["jaw", [4, 5], false], ["jaw", [11, 12], false], ["jaw", [6, 7], false], ["jaw", [9, 10], false],
  ["cheek", [1, 2, 31], false], ["cheek", [14, 15, 35], false],
];

/** What is known of a face. */
export class Parts {
  /** @param {number[][]} landmarks 68 of them, or none */
  constructor(landmarks) {
    this.landmarks = landmarks;
    this.known = landmarks.length === 68;
    this.width = this.known ? far(landmarks[0], landmarks[16]) : 0;
    this.list = this.known ? PARTS.map(([name, marks, holds]) => ({ name, holds, xy: mean(marks.map((i) => landmarks[i])) })) : [];
  }

  /** What is at a place: a part's name, "head" on the rest of it, null beside the face. */
  nameAt(xy) {
    if (!this.known) return null;
    const nearest = this.list.map((part) => ({ ...part, away: far(part.xy, xy) })).sort((a, b) => a.away - b.away)[0];
    if (nearest.away < NEAR * this.width) return nearest.name;
    return far(xy, this.landmarks[28]) < 0.95 * this.width ? "head" : null;
  }

  /** The good handle that a press takes, or the place itself. */
  snapped(xy) {
    const near = this.list.filter(({ holds }) => holds).map(({ xy: at }) => ({ at, away: far(at, xy) })).sort((a, b) => a.away - b.away)[0];
    return near && near.away < SNAP * this.width ? [...near.at] : xy;
  }

  /** The same place on the other side of the face. */
  mirrored([x, y]) {
    const [top, bottom] = [mean([this.landmarks[27], this.landmarks[28]]), this.landmarks[8]];
    const way = [bottom[0] - top[0], bottom[1] - top[1]];
    const length = way[0] ** 2 + way[1] ** 2;
    const along = ((x - top[0]) * way[0] + (y - top[1]) * way[1]) / length;
    const foot = [top[0] + along * way[0], top[1] + along * way[1]];
    return [2 * foot[0] - x, 2 * foot[1] - y];
  }
}
