// A movie's rating by the user. In: a movie. Out: a fieldset with the scale's control; a choice rates, "take back" removes it.
// Next: controls.js draws the control; state.js sends what was chosen.

import { CONTROLS } from "./controls.js";
import { h, titleOf, uid } from "./dom.js";
import { mine, rate } from "./state.js";
import { failed } from "./alert.js";
import { asGiven, scale } from "./scale.js";

const KEYS_SETTLE_MS = 600; // arrow keys pass over ratings on the way to the one that is meant

export function ratingOf(movie) {
  let byKey = 0;
  let settling = 0;
  const choose = (rating) => rate(movie, rating, performance.now()).catch(failed);
  const chosen = (value) => {
    clearTimeout(settling);
    if (performance.now() - byKey > 200) choose(value);
    else settling = setTimeout(() => choose(value), KEYS_SETTLE_MS);
  };
  const said = h("output", { class: "value" });
  const control = CONTROLS[scale.kind](uid("rating"), chosen, (value) => { said.textContent = short(value); });
  const back = h("button", { type: "button", class: "quiet back", onclick: () => choose(null) }, "Take back");
  back.setAttribute("aria-label", `Take back your rating of ${titleOf(movie)}`);
  const box = h("fieldset", {
    class: `rating ${scale.kind}`,
    onkeydown: () => { byKey = performance.now(); },
    onpointerdown: () => { byKey = 0; },
  }, h("legend", { class: "hidden" }, `Your rating of ${titleOf(movie)}`), control.element, said, back);
  box.update = () => {
    const rating = mine.get(movie.movie_id)?.rating ?? null;
    control.show(rating);
    said.textContent = short(rating);
    back.hidden = rating === null;
  };
  box.update();
  return box;
}

function short(rating) {
  if (rating === null || scale.kind === "thumbs" || scale.kind === "likes") return "";
  return scale.kind === "stars" ? rating.toFixed(1) : asGiven(rating);
}
