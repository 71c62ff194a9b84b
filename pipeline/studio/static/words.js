// What the page says in words.

/** What each stage does, as a heading and while it runs. */
export const STAGES = {
  align: "Cut out the face",
  invert: "Find this face in the network",
  tune: "Learn it by heart",
  drag: "Dragging",
  result: "Putting the face back into the photo",
  film: "Making the film",
  faces: "Looking for faces",
  starts: "Getting to know the network",
  download: "Downloading",
};

export const PARTS = {
  drag: "Dragging",
  tune: "Tuning",
  invert: "Projection",
  result: "Saved picture",
};

/** Names of settings for people; a setting without one is called by its own name. */
const SETTINGS = {
  "seed": "Seed",
  "drag.method": "How it moves",
  "drag.steps": "Most steps",
  "drag.patience": "Patience, in steps",
  "drag.learning_rate": "Speed (learning rate)",
  "drag.r1": "Size of what is pulled (r1)",
  "drag.r2": "How far a point is looked for (r2)",
  "drag.lambda_mask": "Keep the rest as it is (lambda)",
  "drag.num_moving_ws": "Moving latents (ws)",
  "tune.steps": "Most steps",
  "tune.learning_rate": "Speed (learning rate)",
  "tune.l2_weight": "Weight of equal pixels",
  "tune.perceptual_weight": "Weight of equal looks",
  "tune.perceptual_threshold": "Good enough, in looks",
  "tune.l2_threshold": "Good enough, in pixels",
  "tune.locality_weight": "Leave other faces alone",
  "tune.locality_alpha": "How far off other faces are",
  "tune.locality_every": "Look at other faces every … steps",
  "tune.locality_pool": "Number of other faces",
  "tune.tune_torgb": "Tune colours, too",
  "invert.learning_rate": "Speed (learning rate)",
  "invert.w_noise": "Shaking at first",
  "invert.w_noise_share": "Shaking ends at",
  "invert.noise_weight": "Keep noise like noise",
  "invert.start": "Begin at",
  "invert.start_samples": "Faces to begin from",
  "invert.space": "Space (w or w+)",
  "result.keep_gps": "Keep the photo’s position (GPS)",
};

/** What more or less of it does, where that can be said in a sentence. */
const EFFECTS = {
  "drag.learning_rate": "More is faster and rougher, less is slower and steadier.",
  "drag.r1": "More moves larger parts together.",
  "drag.r2": "Less holds on to small details, more follows quick moves.",
  "drag.lambda_mask": "It counts only with a painted area.",
  "drag.num_moving_ws": "Fewer change the pose only, more also the finer features.",
};

/** Say what more or less of a setting does. @param {string} part @param {string} name */
export const settingEffect = (part, name) => EFFECTS[part ? `${part}.${name}` : name] ?? "";

/** Name a setting in words. @param {string} part @param {string} name */
export function settingName(part, name) {
  const known = SETTINGS[part ? `${part}.${name}` : name];
  if (known) return known;
  const words = name.replace(/^num_/, "number_of_").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {number|null} seconds */
export function timeLeft(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return "a moment left";
  const whole = Math.ceil(seconds);
  if (whole < 60) return `at most ${whole} s left`;
  return `at most ${Math.floor(whole / 60)} min ${whole % 60} s left`;
}

/** @param {number} pixels a distance in pixels of the face */
export function distance(pixels) {
  return `${pixels < 10 ? pixels.toFixed(1) : Math.round(pixels)} px`;
}
