// Talking to the studio: requests, and the web socket.

import { clearErrors, toast } from "./dom.js";
import { canSay, language, say } from "./say.js";

/** A request that the studio refused, and why. */
export class Refused extends Error {
  /** @param {{kind: string, message: string}} failure @param {number} status */
  constructor(failure, status) {
    super(failureText(failure));
    this.kind = failure.kind;
    this.status = status;
  }
}

const gone = () => new Refused({ kind: "Gone", message: say("error.Gone") }, 0);

/** Say what went wrong: the studio's own words are English. @param {{kind: string, message: string}} failure */
export function failureText({ kind, message }) {
  return language !== "en" && canSay(`error.${kind}`) ? say(`error.${kind}`) : sentence(message);
}

/**
 * Ask the studio. Raises Refused.
 * @param {string} method
 * @param {string} path below /api/
 * @param {any} [body] JSON, or a Blob as it is
 * @returns {Promise<Response>}
 */
export async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body instanceof Blob) {
    options.body = body;
    options.headers["Content-Type"] = "application/octet-stream";
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(`/api/${path}`, options);
  } catch {
    throw gone();
  }
  if (answer.ok) return answer;
  let failure = { kind: "Refused", message: `${answer.status} ${answer.statusText}` };
  try {
    failure = { ...failure, ...(await answer.json()) };
  } catch { /* not JSON: the status says it */ }
  throw new Refused(failure, answer.status);
}

/** @returns {Promise<any>} */
export async function json(method, path, body) {
  return read(await ask(method, path, body), "json");
}

/** @returns {Promise<Blob>} */
export async function blob(path) {
  return read(await ask("GET", path), "blob");
}

/** Take the body of an answer, which may break off after it has begun: as "json" or as "blob". */
export async function read(answer, kind) {
  try {
    return await answer[kind]();
  } catch {
    throw gone();
  }
}

/** Do something that asks the studio, and show what it says when it refuses, until something works. */
export async function attempt(action) {
  try {
    const answer = await action();
    clearErrors();
    return answer;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.message, "error");
    return undefined;
  }
}

/** @param {string} text */
export function sentence(text) {
  const named = /^\S+\.\w/.test(text); // a file's name is written as it is
  const upper = named ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

/** The address of a workspace's resource, below /api/. */
export const place = (id, rest = "") => `workspaces/${encodeURIComponent(id)}${rest}`;

/** The address of a picture; `version` makes the browser load a new one. */
export const pictureUrl = (id, name, version) =>
  `/api/${place(id, `/pictures/${name}`)}?v=${encodeURIComponent(version)}`;

/**
 * The web socket, opened again whenever it closes.
 */
export class Live {
  /** @param {{message: (m: any) => void, frame: (head: any, jpeg: Blob, field: any) => void, up: (up: boolean, answers: boolean, lockedOut: boolean) => void}} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.watched = null;
    this.wait = 300;
    this.open();
  }

  open() {
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.wait = 300;
      this.handlers.up(true, true, false);
      this.send({ watch: this.watched });
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.handlers.message(JSON.parse(data));
      else this.handlers.frame(...unpack(data));
    };
    this.socket.onclose = () => this.closed();
  }

  /** Open it again, unless this page is one of a studio that is no more. */
  async closed() {
    const answer = await fetch("/api/studio").catch(() => null);
    const lockedOut = answer !== null && [401, 403].includes(answer.status);
    this.handlers.up(false, answer !== null, lockedOut);
    if (lockedOut) return;
    setTimeout(() => this.open(), this.wait);
    this.wait = Math.min(this.wait * 2, 5000);
  }

  /** @param {string|null} id the workspace to be told about */
  watch(id) {
    this.watched = id;
    this.send({ watch: id });
  }

  /** Say that a picture has been drawn, so that the next may come. */
  drawn() {
    this.send({ drawn: true });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

/** A field that comes as JSON. @returns {import("./elastic.js").Field|null} */
export function fieldOf(sent) {
  if (!sent) return null;
  const data = Uint8Array.from(atob(sent.way), (each) => each.charCodeAt(0));
  return { n: sent.n, way: Float32Array.from(new Int16Array(data.buffer), (value) => value * sent.unit) };
}

/**
 * A picture's head, its JPEG, and the field by which the photo is moved, if there is one.
 * @param {ArrayBuffer} data @returns {[any, Blob, import("./elastic.js").Field|null]}
 */
function unpack(data) {
  const length = new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const start = 4 + length;
  const cells = head.field ? head.field.n ** 2 * 2 : 0;
  const jpeg = new Blob([new Uint8Array(data, start + 2 * cells)], { type: "image/jpeg" });
  if (!head.field) return [head, jpeg, null];
  const way = Float32Array.from(new Int16Array(data.slice(start, start + 2 * cells)), (value) => value * head.field.unit);
  return [head, jpeg, { n: head.field.n, way }];
}
