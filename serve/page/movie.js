// A movie's own view: its facts, your rating, similar movies. In: a movie's id. Out: a page for #/movie/ID. Next: home.js.

import * as api from "./api.js";
import { failed } from "./alert.js";
import { h, keyed, titleOf } from "./dom.js";
import { dismissButton, genresOf, movieRow } from "./rows.js";
import { ratingOf } from "./rating.js";
import { asExpected } from "./scale.js";
import * as state from "./state.js";

export async function movie(main, movieId) {
  const heading = h("h1", { tabindex: "-1" }, "…");
  main.replaceChildren(heading);
  let facts;
  try {
    facts = await api.get(`/movies/${encodeURIComponent(movieId)}`);
  } catch (error) {
    heading.textContent = "No such movie";
    main.append(h("p", {}, "This movie is neither in the titles nor rated. ", h("a", { href: "#/" }, "Search for another.")));
    if (error.status !== 404 && error.status !== 422) failed(error);
    return () => {};
  }
  heading.textContent = titleOf(facts);
  const rated = facts.n_ratings
    ? [`${facts.n_ratings.toLocaleString("en")} ratings`, asExpected(facts.mean_rating, "on average")].filter(Boolean).join(", ")
    : "no ratings yet";
  const own = ratingOf(facts);
  const expected = h("p", { class: "note", id: "expected", role: "status" });
  const away = h("p", { class: "note", id: "away", role: "status" });
  const list = h("ul", { class: "movies", id: "similar", "aria-label": "Similar movies" });
  const next = h("ul", { class: "movies", id: "next", "aria-label": "Often watched next" });
  const none = h("p", { class: "note" });
  main.append(
    h("p", {}, genresOf(facts)),
    h("p", {}, rated),
    h("section", { class: "own" }, h("h2", {}, "Your rating"), own, expected, facts.hidden ? h("p", { class: "note" }, "No list has this movie.") : away),
    h("section", {}, h("h2", {}, "Often watched next"), next),
    h("section", {}, h("h2", {}, "Similar movies"), none, list),
    h("p", {}, h("a", { href: "#/" }, "Back to your list")),
  );
  const predict = async () => {
    const value = await api.get(`/users/${encodeURIComponent(state.user.id)}/predictions/${encodeURIComponent(movieId)}`);
    expected.textContent = asExpected(value.predicted_rating, "Expected from your ratings:");
  };
  const change = (what) => {
    if (what === "dismissed") {
      const isSo = state.dismissed.has(movieId);
      away.replaceChildren(...(isSo ? ["It is off your lists. "] : []), dismissButton(facts, !isSo));
    }
    own.update();
    for (const row of [...next.children, ...list.children]) row.update();
    if (what === "list") predict().catch(failed);
  };
  const stop = state.onChange(change);
  change("dismissed");
  predict().catch(failed);
  const show = (where) => ({ movies }) => keyed(where, movies, (one) => one.movie_id, (one) => movieRow(one), (row) => row.update());
  api.get(`/movies/${encodeURIComponent(movieId)}/next`, { n: 6 }).then(show(next), () => {});
  api.get(`/movies/${encodeURIComponent(movieId)}/similar`, { n: 12 }).then(
    show(list),
    (error) => { none.textContent = error.status === 404 ? "Nobody has rated it yet, so none are known." : error.message; },
  );
  return stop;
}
