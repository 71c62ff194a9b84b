// What goes on, in one sentence: worked out anew from the state each time, so that it is never old.

import { canSay, duration, say } from "./say.js";
import { failureText } from "./api.js";

/**
 * @typedef {object} Status
 * @property {string} text
 * @property {"plain"|"strong"|"bad"} tone
 * @property {number|null|undefined} share of the work done; null where that is unknown, undefined without work
 * @property {string} [hint] what a person may do meanwhile
 */

/** How far the points of a drag have come on average, of what they had to go. */
function shareOfWay(state, job) {
  const start = mean(state.edit.points.map(({ handle, target }) => Math.hypot(handle[0] - target[0], handle[1] - target[1])));
  if (job.distance === null || !start) return job.total ? job.step / job.total : null;
  return Math.min(Math.max(1 - job.distance / start, job.step / job.total, 0), 1);
}

const mean = (values) => (values.length ? values.reduce((a, b) => a + b) / values.length : 0);

/** What a job waits for: the first that is ahead of it. */
function waiting(state, job) {
  if (!job.ahead.length) return { text: say("status.starting"), tone: "plain", share: null };
  const first = job.ahead[0];
  const { prepare } = state.jobs;
  if (job.kind === "drag" && prepare && first.kind === "prepare" && first.name === state.name) return { ...preparing(state, prepare), hint: say("status.asked") };
  return { text: say(`status.waits.${first.kind}`, { name: first.name }), tone: "plain", share: null };
}

function dragging(state, job) {
  if (job.ending) return { text: say("status.stopping"), tone: "plain", share: null };
  const share = shareOfWay(state, job);
  const left = job.distance === null ? "" : say("status.left", { pixels: job.distance });
  if (job.paused) return { text: [say("status.paused"), left].filter(Boolean).join(" "), tone: "plain", share };
  if (!job.running) return waiting(state, job);
  if (job.stage === "drag" && job.total) return { text: [say("status.moving"), left].filter(Boolean).join(" "), tone: "plain", share };
  if (job.stage && job.stage !== "drag") return { text: stageText(job), tone: "plain", share: null };
  return { text: say("status.starting"), tone: "plain", share: null };
}

/** What a stage does, and how long it still takes. */
export function stageText(job) {
  const known = job.stage && canSay(`stage.${job.stage}`);
  const text = known ? say(`stage.${job.stage}`) : say("status.starting");
  return job.seconds_left && job.total > 1 ? say("status.timeLeft", { text, time: duration(job.seconds_left) }) : text;
}

function preparing(state, job) {
  const hint = state.face ? say("status.meanwhile") : undefined;
  if (job.ending) return { text: say("status.stopping"), tone: "plain", share: null };
  if (!job.running) return { ...waiting(state, job), hint };
  return { text: stageText(job), tone: "plain", share: job.total ? job.step / job.total : null, hint };
}

/**
 * Say how a photo is.
 * @param {any} state
 * @param {{pending: boolean, choosing: boolean, marks: number|null}} page what the person is in the middle of
 * @returns {Status}
 */
export function statusOf(state, page) {
  const { drag, film, prepare, find } = state.jobs;
  const plain = (key, values) => ({ text: say(key, values), tone: "plain", share: undefined });
  if (drag) return dragging(state, drag);
  if (film) return film.running ? { text: stageText({ ...film, stage: "film" }), tone: "plain", share: film.total ? film.step / film.total : null } : waiting(state, film);
  if (page.pending) return plain("status.half");
  if (state.failure) return { text: failureText(state.failure), tone: "bad", share: undefined };
  if (page.marks !== null) return plain(`mark.${page.marks}`);
  if (prepare) return preparing(state, prepare);
  if (find) return find.running ? { text: say("status.finding"), tone: "plain", share: null } : waiting(state, find);
  if (state.interrupted) return plain(`status.interrupted.${state.interrupted}`);
  if (page.choosing || !state.ready) return plain(choiceKey(state), { count: state.found?.faces.length ?? 0 });
  return ready(state);
}

function choiceKey(state) {
  if (!state.found) return "choice.look";
  return state.found.faces.length ? "choice.found" : "choice.none";
}

function ready(state) {
  const { edit } = state;
  // Who has only moved sliders has heard of no points.
  if (edit.stop === "arrived" && !edit.points.length) return { text: say("status.done"), tone: "strong", share: undefined };
  if (edit.stop) return { text: canSay(`stop.${edit.stop}`) ? say(`stop.${edit.stop}`) : edit.stop_words, tone: "strong", share: undefined };
  if (!edit.points.length && Object.keys(edit.controls).length) return { text: say("status.controls"), tone: "plain", share: undefined };
  if (!edit.points.length) return { text: say(edit.drag ? "status.edited" : "status.begin"), tone: "plain", share: undefined };
  return { text: say(edit.drag ? "status.goOn" : "status.start", { count: edit.points.length }), tone: "plain", share: undefined };
}
