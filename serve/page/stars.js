// The stars: native radio buttons, so that keyboard and screen reader work as with any other choice.
// In: a movie. Out: a fieldset; a choice rates, "take back" removes the rating. Next: state.js sends it.

import { h, titleOf, uid } from "./dom.js";
import { mine, rate } from "./state.js";
import { failed } from "./alert.js";

const KEYS_SETTLE_MS = 600; // arrow keys pass over stars on the way to the one that is meant

export const scale = { rating_min: 0.5, rating_max: 5, rating_step: 0.5 };

export function starsFor(movie) {
  const name = uid("stars");
  const box = h("fieldset", { class: "stars" }, h("legend", { class: "hidden" }, `Your rating of ${titleOf(movie)}`));
  let byKey = 0;
  let settling = 0;
  const row = h("div", {
    class: "row",
    onkeydown: () => { byKey = performance.now(); },
    onpointerdown: () => { byKey = 0; },
  });
  const chosen = (value) => {
    clearTimeout(settling);
    if (performance.now() - byKey > 200) choose(movie, value);
    else settling = setTimeout(() => choose(movie, value), KEYS_SETTLE_MS);
  };
  const steps = Math.round((scale.rating_max - scale.rating_min) / scale.rating_step);
  for (let i = 0; i <= steps; i += 1) {
    const value = scale.rating_min + i * scale.rating_step;
    const id = `${name}-${i}`;
    const half = i % 2 === 0;
    row.append(
      h("input", { type: "radio", name, id, value, onchange: () => chosen(value) }),
      h("label", { for: id, class: half ? "half left" : "half right", title: `${value} stars` },
        h("span", { class: "hidden" }, `${value} ${value === 1 ? "star" : "stars"}`)),
    );
  }
  const back = h("button", { type: "button", class: "quiet back", onclick: () => choose(movie, null) }, "Take back");
  back.setAttribute("aria-label", `Take back your rating of ${titleOf(movie)}`);
  box.append(row, h("output", { class: "value" }), back);
  box.update = () => update(box, movie);
  update(box, movie);
  return box;
}

function update(box, movie) {
  const rating = mine.get(movie.movie_id)?.rating ?? null;
  for (const input of box.querySelectorAll("input")) {
    input.checked = rating !== null && Number(input.value) === rating;
    input.nextElementSibling.classList.toggle("on", rating !== null && Number(input.value) <= rating);
  }
  box.querySelector("output").textContent = rating === null ? "" : rating.toFixed(1);
  box.querySelector(".back").hidden = rating === null;
}

function choose(movie, rating) {
  rate(movie, rating, performance.now()).catch(failed);
}
