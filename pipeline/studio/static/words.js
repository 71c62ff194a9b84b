// What the page says in words.

/** Why a drag stopped. */
export const STOPS = {
  arrived: "All points have arrived.",
  step_limit: "Stopped at the step limit. Press “Go on”, or raise the limit in the settings.",
  no_progress: "Stopped: the points no longer came closer. The nearest picture is kept.",
  lost_track: "Stopped: a point lost what it was holding. The last good picture is kept; try a nearer target.",
  cancelled: "You stopped it. The picture is kept as it was.",
};

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

/** Turn a setting's name into words: learning_rate, num_moving_ws. */
export function settingName(name) {
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
