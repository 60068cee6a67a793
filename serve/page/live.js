// Events of the server, one stream for the whole page. In: a user's id. Out: calls of who listens.
// Next: state.js takes lists, pipeline.js the rest.

import { parse, token } from "./api.js";
import { pushed } from "./state.js";

const listening = { pipeline: new Set(), version: new Set() };
const last = { pipeline: null, version: null };
const note = document.getElementById("connection");
let source = null;

export const onPipeline = (listen) => on("pipeline", listen);
export const onVersion = (listen) => on("version", listen);

function on(kind, listen) {
  listening[kind].add(listen);
  if (kind === "pipeline" && last.pipeline) listen(last.pipeline);
  return () => listening[kind].delete(listen);
}

/** Follows this user's list from now on; the browser connects again by itself when the server was away. */
export function follow(userId) {
  source?.close();
  const query = new URLSearchParams({ user_id: userId, ...(token() ? { token: token() } : {}) });
  source = new EventSource(`/v1/events?${query}`);
  source.addEventListener("open", () => { note.textContent = ""; });
  source.addEventListener("error", () => {
    note.textContent = "Connection lost; trying again …";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(userId), 3000);
  });
  source.addEventListener("list", (event) => pushed(parse(event.data)));
  for (const kind of Object.keys(listening)) {
    source.addEventListener(kind, (event) => {
      last[kind] = parse(event.data);
      for (const listen of listening[kind]) listen(last[kind]);
    });
  }
}

export function leave() {
  source?.close();
  source = null;
}
