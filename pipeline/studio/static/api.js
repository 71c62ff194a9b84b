// Talking to the studio: requests, and the web socket.

import { toast } from "./dom.js";

const GONE = "The studio does not answer. Is it still running?";

/** A request that the studio refused, in its words. */
export class Refused extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
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
    throw new Refused(GONE, 0);
  }
  if (answer.ok) return answer;
  let message = `${answer.status} ${answer.statusText}`;
  try {
    message = (await answer.json()).message ?? message;
  } catch { /* not JSON: the status says it */ }
  throw new Refused(sentence(message), answer.status);
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
    throw new Refused(GONE, 0);
  }
}

/** Do something that asks the studio, and show what it says when it refuses. */
export async function attempt(action) {
  try {
    return await action();
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
  /** @param {{message: (m: any) => void, frame: (head: any, jpeg: Blob) => void, up: (up: boolean) => void}} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.watched = null;
    this.wait = 300;
    this.open();
  }

  open() {
    this.socket = new WebSocket(`ws://${location.host}/api/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.wait = 300;
      this.handlers.up(true);
      this.send({ watch: this.watched });
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.handlers.message(JSON.parse(data));
      else this.handlers.frame(...unpack(data));
    };
    this.socket.onclose = () => {
      this.handlers.up(false);
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(this.wait * 2, 5000);
    };
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

/** @param {ArrayBuffer} data @returns {[any, Blob]} */
function unpack(data) {
  const length = new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return [head, new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" })];
}
