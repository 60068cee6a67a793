// Rows of movies, as every list shows them. In: movies. Out: list items with ratings and reasons. Next: home.js, movie.js.

import * as api from "./api.js";
import { clear, failed } from "./alert.js";
import { h, titleOf, uid } from "./dom.js";
import { ratingOf } from "./rating.js";
import { asExpected, asGiven } from "./scale.js";
import { dismiss, user } from "./state.js";

export function movieLink(movie) {
  return h("a", { href: `#/movie/${encodeURIComponent(movie.movie_id)}` }, titleOf(movie));
}

export function genresOf(movie) {
  return h("span", { class: "genres" }, movie.genres.join(" · "));
}

/** A row with title, genres and rating; `beside` is put between them. */
export function movieRow(movie, ...beside) {
  const rating = ratingOf(movie);
  const row = h("li", { class: "movie" }, h("div", { class: "what" }, movieLink(movie), genresOf(movie), ...beside), rating);
  row.update = rating.update;
  return row;
}

/** A row of the list of recommendations: also its rank, the rating that is expected, and why it is there. */
export function recommendedRow(movie) {
  const expected = h("span", { class: "expected" });
  const entered = h("span", { class: "entered" }, "new on the list");
  const why = whyFor(movie);
  const row = movieRow(movie, h("span", { class: "facts" }, expected, " ", entered, " ", why.button, " ", dismissButton(movie)), why.reasons);
  const update = row.update;
  row.update = (now) => {
    update();
    expected.textContent = asExpected(now.predicted_rating, "expected");
    entered.hidden = !now.entered;
    row.classList.toggle("is-new", Boolean(now.entered));
    why.stale();
  };
  return row;
}

/** Says that the user is not interested in the movie, or takes that back. */
export function dismissButton(movie, isSo = true) {
  const words = isSo ? "Not interested" : "Undo";
  const label = isSo ? `Not interested in ${titleOf(movie)}` : `Recommend ${titleOf(movie)} again`;
  const button = h("button", { type: "button", class: "quiet", "aria-label": label }, words);
  button.addEventListener("click", async () => {
    button.disabled = true;
    clear();
    try {
      await dismiss(movie, isSo);
    } catch (error) {
      failed(error);
    }
    button.disabled = false;
  });
  return button;
}

function whyFor(movie) {
  const id = uid("why");
  const reasons = h("div", { id, class: "reasons", hidden: true, "aria-live": "polite" });
  const button = h("button", { type: "button", class: "quiet", "aria-expanded": "false", "aria-controls": id }, "Why?");
  button.setAttribute("aria-label", `Why ${titleOf(movie)}?`);
  const load = async () => {
    const because = await api.get(`/users/${encodeURIComponent(user.id)}/because/${encodeURIComponent(movie.movie_id)}`, { n: 4 });
    reasons.replaceChildren(because.reasons.length ? explained(because) : popular());
  };
  button.addEventListener("click", () => {
    const open = reasons.hidden;
    reasons.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) load().catch(failed);
  });
  return {
    button,
    reasons,
    stale: () => { if (!reasons.hidden) load().catch(failed); },
  };
}

function explained(because) {
  const list = h("ul", {}, because.reasons.map((one) => h("li", {}, share(one.share), " ", reason(one))));
  if (because.others.count) list.append(h("li", {}, share(because.others.share), " ", `your ${because.others.count} other ratings`));
  return list;
}

function reason(one) {
  if (2 * one.next_part > one.part) return `often watched after ${titleOf(one)}, which you gave ${asGiven(one.rating)}`;
  return `you gave ${titleOf(one)} ${asGiven(one.rating)}`;
}

function share(value) {
  return h("strong", {}, `${Math.round(value * 100)} %`);
}

function popular() {
  return h("p", {}, "Many people rated it well. Rate some movies, and the list becomes yours.");
}
