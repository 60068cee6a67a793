// Begins, and shows the view that the address names. In: the part after #. Out: one of the views. Next: home.js.

import * as api from "./api.js";
import { clear, failed } from "./alert.js";
import { movie } from "./movie.js";
import { home } from "./home.js";
import { follow, leave } from "./live.js";
import { pipeline } from "./pipeline.js";
import { scale } from "./scale.js";
import * as state from "./state.js";

const main = document.getElementById("main");
let end = () => {};
let number = 0;

const VIEWS = [
  [/^#\/movie\/(.+)$/, "movie", (match) => movie(main, decodeURIComponent(match[1]))],
  [/^#\/pipeline$/, "pipeline", () => pipeline(main)],
  [/^/, "home", () => home(main)],
];

async function show(focus) {
  const mine = ++number;
  end();
  end = () => {};
  clear();
  const [pattern, name, view] = VIEWS.find(([one]) => one.test(location.hash));
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.route === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const stop = await view(location.hash.match(pattern));
  if (mine !== number) stop();
  else end = stop;
  const heading = main.querySelector("h1");
  document.title = `${heading.textContent} · reelstream`;
  if (focus) {
    heading.focus();
    window.scrollTo(0, 0);
  }
}

state.onChange((what) => { if (what === "user") follow(state.user.id); });
window.addEventListener("hashchange", () => {
  if (location.hash !== "#main") show(true).catch(failed);
});
window.addEventListener("pagehide", leave);
window.addEventListener("pageshow", (event) => { if (event.persisted) follow(state.user.id); });

try {
  Object.assign(scale, await api.get("/settings"));
  await show(false);
  await state.start();
} catch (error) {
  failed(error);
}
