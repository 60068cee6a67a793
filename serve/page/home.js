// The first view: find movies, rate them, see the list change. In: state.js. Out: a page for #/. Next: movie.js.

import * as api from "./api.js";
import { clear, failed } from "./alert.js";
import { ago, h, keyed, titleOf, uid } from "./dom.js";
import { dismissButton, genresOf, movieLink, movieRow, recommendedRow } from "./rows.js";
import * as state from "./state.js";

const SOURCES = {
  refit: "from the last refit",
  fold_in: "from your ratings as they are now",
  popular: "what most people liked, until you rate a movie",
};
const TYPING_MS = 150;
const MANY = 20; // ratings that are folded away at first

export async function home(main) {
  const parts = [person(), search(), recommended(), ratings()];
  main.replaceChildren(
    h("h1", { tabindex: "-1" }, "Movies for you"),
    parts[0].box,
    h("div", { class: "columns" }, parts[1].box, parts[2].box, parts[3].box),
  );
  const change = (what) => parts.forEach((part) => part.change(what));
  change("user");
  change("ratings");
  change("dismissed");
  change("list");
  change("fresh");
  return state.onChange(change);
}

function person() {
  const who = h("p", { id: "who" });
  const input = h("input", { id: uid("id"), required: true, maxlength: 200, autocomplete: "off", size: 8 });
  const form = h("form", { class: "inline", onsubmit: (event) => {
    event.preventDefault();
    clear();
    state.become(input.value.trim()).catch(failed);
    input.value = "";
  } }, h("label", { for: input.id }, "Known user"), input, h("button", {}, "Show"));
  const anew = h("button", { type: "button", onclick: () => { clear(); state.becomeNew().catch(failed); } }, "Start as a new user");
  return {
    box: h("section", { class: "person", "aria-label": "Who you are" }, who, h("div", { class: "inline" }, form, anew)),
    change: () => {
      const count = state.mine.size;
      who.textContent = `You are user ${state.user.id ?? "…"}, with ${count === 1 ? "1 rating" : `${count} ratings`}.`;
    },
  };
}

function search() {
  const input = h("input", { id: uid("search"), type: "search", autocomplete: "off", maxlength: 200, placeholder: "pulp ficton", "aria-describedby": "found" });
  const said = h("p", { id: "found", class: "note", role: "status" });
  const list = h("ul", { class: "movies", id: "results", "aria-label": "Movies that were found" });
  let typing = 0;
  let number = 0;
  const look = async () => {
    const text = input.value.trim();
    const mine = ++number;
    const found = text ? (await api.get("/movies", { q: text, n: 8 })).movies : [];
    if (mine !== number) return;
    said.textContent = !text ? "" : found.length ? `${found.length} movies found` : "No movie has words like these.";
    keyed(list, found, (movie) => movie.movie_id, foundRow, (row) => row.update());
  };
  const soon = () => {
    clearTimeout(typing);
    typing = setTimeout(() => look().catch(failed), TYPING_MS);
  };
  input.addEventListener("input", soon);
  const form = h("form", { role: "search", onsubmit: (event) => { event.preventDefault(); look().catch(failed); } },
    h("label", { for: input.id }, "Search movies"), input, said);
  return {
    box: h("section", { class: "search" }, h("h2", {}, "Rate movies"), form, list),
    change: (what) => { if (what === "ratings") for (const row of list.children) row.update(); },
  };
}

function recommended() {
  const heading = uid("list");
  const fresh = h("p", { id: "freshness", role: "status" });
  const source = h("p", { class: "note", id: "source" });
  const undo = h("p", { class: "note", id: "undo", role: "status" });
  const list = h("ol", { class: "movies ranked", id: "recommendations", "aria-label": "Recommended for you" });
  const more = h("button", { type: "button", onclick: () => { state.view.more += 20; state.refresh().catch(failed); } }, "More movies");
  const box = h("section", { class: "recommended", "aria-labelledby": heading }, h("h2", { id: heading }, "Recommended for you"), filterForm(), fresh, source, undo, list, more);
  return {
    box,
    change: (what) => {
      const shown = state.view.list;
      if (what === "fresh" && state.view.fresh !== null) {
        fresh.dataset.ms = state.view.fresh;
        fresh.textContent = `Counts your last rating, ${state.view.fresh} ms after it.`;
      }
      if (what === "user" || what === "dismissed") {
        const movie = state.view.undo;
        undo.replaceChildren(...(movie ? [`${titleOf(movie)} is off your lists. `, dismissButton(movie, false)] : []));
      }
      if (what === "user") { fresh.textContent = ""; delete fresh.dataset.ms; list.replaceChildren(); }
      if (!shown) { source.textContent = "Loading …"; more.hidden = true; return; }
      source.textContent = `${SOURCES[shown.source]} · version ${Number(shown.version)}, ${ago(shown.age_s)} old`;
      more.hidden = shown.movies.length < 20 + state.view.more;
      if (!shown.movies.length) source.textContent = "No movie that you have not rated fits.";
      keyed(list, shown.movies, (movie) => movie.movie_id, recommendedRow, (row, movie) => row.update(movie));
    },
  };
}

function filterForm() {
  const genre = h("select", { id: uid("genre") }, h("option", { value: "" }, "All"));
  const year = (name) => h("input", { id: uid(name), type: "number", min: 1870, max: 2100, value: state.filters[name] || null });
  const [from, to] = [year("year_from"), year("year_to")];
  api.get("/genres").then(({ genres }) => {
    genre.append(...genres.map((name) => h("option", { value: name, selected: name === state.filters.genre }, name)));
  }, failed);
  const change = () => {
    if (!from.checkValidity() || !to.checkValidity()) return;
    Object.assign(state.filters, { genre: genre.value, year_from: from.value, year_to: to.value });
    state.view.more = 0;
    state.refresh().catch(failed);
  };
  return h("form", { class: "inline filters", onchange: change, onsubmit: (event) => event.preventDefault(), "aria-label": "Filters" },
    h("label", { for: genre.id }, "Genre"), genre,
    h("label", { for: from.id }, "Years from"), from, h("label", { for: to.id }, "to"), to);
}

function ratings() {
  const list = h("ul", { class: "movies", id: "ratings", "aria-label": "Movies you rated" });
  const summary = h("summary", {});
  let folded = false;
  const details = h("details", { open: true }, summary, list);
  const away = h("ul", { class: "movies", id: "dismissed", "aria-label": "Movies you are not interested in" });
  const awaySummary = h("summary", {});
  const awayDetails = h("details", {}, awaySummary, away);
  const box = h("section", { class: "mine" }, details, awayDetails);
  return {
    box,
    change: (what) => {
      if (what === "dismissed" || what === "user") {
        awayDetails.hidden = !state.dismissed.size;
        awaySummary.textContent = `Not interested (${state.dismissed.size})`;
        keyed(away, [...state.dismissed.values()], (movie) => movie.movie_id, dismissedRow, () => {});
      }
      if (what !== "ratings" && what !== "user") return;
      summary.textContent = `Your ratings (${state.mine.size})`;
      if (what === "user") folded = false;
      if (!folded && state.mine.size > MANY) [folded, details.open] = [true, false];
      keyed(list, [...state.mine.values()].slice(0, 200), (movie) => movie.movie_id, (movie) => movieRow(movie), (row) => row.update());
    },
  };
}

function foundRow(movie) {
  return movieRow(movie, movie.hidden ? h("span", { class: "facts" }, "hidden: on no list") : null);
}

function dismissedRow(movie) {
  return h("li", { class: "movie" }, h("div", { class: "what" }, movieLink(movie), genresOf(movie)), dismissButton(movie, false));
}
