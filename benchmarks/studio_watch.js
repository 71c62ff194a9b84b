// Runs in the studio's page before its own scripts: takes note of when a person began something, and
// of the refreshes of the screen that showed what came of it. Times are those of `performance`.

{
  const seen = { click: null, heads: [], frames: [], began: null, moved: null, moves: new Set(), chosen: null, face: null };
  window.seen = seen;
  const listen = (name, take) => document.addEventListener(name, take, true);

  listen("click", (event) => {
    if (event.target.closest("button.primary")) Object.assign(seen, { click: event.timeStamp, heads: [], frames: [] });
  });
  for (const name of ["pointerdown", "input"]) {
    listen(name, (event) => {
      if (event.target.closest(".viewport, .sliders")) Object.assign(seen, { began: event.timeStamp, moved: null });
    });
  }
  listen("change", (event) => {
    if (event.target.id === "file") Object.assign(seen, { chosen: event.timeStamp, face: null });
  });

  // A face can be pressed once it has a place on the screen.
  new MutationObserver(() => {
    if (seen.face !== null || !document.querySelector(".viewport[data-face]:not([data-face=''])")) return;
    seen.face = -1;
    requestAnimationFrame((time) => { seen.face = time; });
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["data-face"] });

  // The page puts moved pixels into a canvas, and nothing else while a photo is shown.
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (...given) {
    put.apply(this, given);
    if (seen.began !== null) requestAnimationFrame((time) => { seen.moved ??= time; seen.moves.add(time); });
  };

  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string") return;
        const length = new DataView(data).getUint32(0);
        seen.heads.push(JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))));
      });
    }

    send(data) {
      super.send(data);
      if (!data.includes('"drawn"')) return;
      const head = seen.heads.shift();
      if (head?.stage === "drag") requestAnimationFrame((time) => seen.frames.push({ time, step: head.step }));
    }
  };
}
