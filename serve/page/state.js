// Who rates, and what. In: clicks and events of the server. Out: changes that the views listen to.
// Next: home.js and movie.js show it; live.js brings what happens elsewhere.

import * as api from "./api.js";
import { failed } from "./alert.js";

const USER = "reelstream.user";
const LIST_N = 20;

export const user = { id: localStorage.getItem(USER) || null, isNew: false };
export const mine = new Map(); // movie_id → {movie_id, title, year, genres, rating}
export const dismissed = new Map(); // movie_id → {movie_id, title, year, genres}: the user is not interested
export const filters = { genre: "", year_from: "", year_to: "" };
export const view = { list: null, more: 0, fresh: null, undo: null }; // undo: the movie that was dismissed last

const listeners = new Set();
let asked = 0; // number of the newest question for the list
let shown = 0; // number of the one that is shown
let missed = false; // whether a list was pushed while a question was under way

/** Calls `listen(what)` after each change until the returned function is called; what: user, ratings, dismissed, list. */
export function onChange(listen) {
  listeners.add(listen);
  return () => listeners.delete(listen);
}

function tell(what) {
  for (const listen of [...listeners]) listen(what);
}

/** The user that is remembered, or a new one. */
export async function start() {
  if (user.id) await become(user.id);
  else await becomeNew();
}

export async function becomeNew() {
  const made = await api.post("/users");
  await become(made.user_id, true);
}

export async function become(id, isNew = false) {
  user.id = id;
  user.isNew = isNew;
  localStorage.setItem(USER, id);
  mine.clear();
  dismissed.clear();
  view.undo = null;
  view.list = null;
  view.more = 0;
  view.fresh = null;
  tell("user");
  const known = await api.get(`/users/${encodeURIComponent(id)}/ratings`, { n: 1000 });
  if (user.id !== id) return;
  for (const movie of known.ratings) mine.set(movie.movie_id, movie);
  tell("ratings");
  const away = await api.get(`/users/${encodeURIComponent(id)}/dismissed`);
  if (user.id !== id) return;
  for (const movie of away.movies) dismissed.set(movie.movie_id, movie);
  tell("dismissed");
  await refresh();
}

/** The user is not interested in a movie, or takes that back; then the list that counts it. */
export async function dismiss(movie, isSo) {
  const path = `/users/${encodeURIComponent(user.id)}/dismissed/${encodeURIComponent(movie.movie_id)}`;
  await (isSo ? api.put(path) : api.remove(path));
  if (isSo) dismissed.set(movie.movie_id, movie);
  else dismissed.delete(movie.movie_id);
  view.undo = isSo ? movie : null;
  tell("dismissed");
  await refresh();
}

/** Rates a movie, or takes the rating back with null; then the list that counts it. `clicked` is performance.now(). */
export async function rate(movie, rating, clicked) {
  const before = mine.get(movie.movie_id);
  const path = `/users/${encodeURIComponent(user.id)}/ratings/${encodeURIComponent(movie.movie_id)}`;
  keep(movie, rating);
  try {
    await (rating === null ? api.remove(path) : api.put(path, { rating }));
  } catch (error) {
    keep(movie, before ? before.rating : null);
    throw error;
  }
  await refresh({ clicked });
}

function keep(movie, rating) {
  const known = mine.get(movie.movie_id);
  mine.delete(movie.movie_id);
  if (rating !== null) {
    const { movie_id, title, year, genres } = movie;
    const changed = { movie_id, title, year, genres, rating };
    const others = known ? [] : [...mine];
    if (!known) mine.clear();
    mine.set(movie_id, changed);
    for (const [id, other] of others) mine.set(id, other);
  }
  tell("ratings");
}

/** Asks for the list anew; an answer that is older than the one shown is dropped. */
export async function refresh({ clicked = null } = {}) {
  const number = ++asked;
  const query = { n: LIST_N + view.more, ...filters };
  try {
    const list = await api.get(`/users/${encodeURIComponent(user.id)}/recommendations`, query);
    if (number > shown && list.user_id === user.id) show(list, number, clicked);
  } finally {
    shown = Math.max(shown, number);
  }
  if (missed && shown === asked) {
    missed = false;
    await refresh();
  }
}

/** A list that the server sent by itself; it knows no filters. One that crosses a question is asked for after it. */
export function pushed(list) {
  if (list.user_id !== user.id) return;
  if (shown < asked) missed = true;
  else if (view.more || Object.values(filters).some(Boolean)) refresh().catch(failed);
  else show(list, ++asked, null);
}

function show(list, number, clicked) {
  shown = number;
  const before = new Set((view.list?.movies ?? []).map((movie) => movie.movie_id));
  for (const movie of list.movies) movie.entered = before.size > 0 && !before.has(movie.movie_id);
  if (clicked === null && view.list && same(view.list, list)) return;
  view.list = list;
  tell("list");
  if (clicked !== null) {
    view.fresh = Math.round(performance.now() - clicked);
    tell("fresh");
  }
}

function same(one, other) {
  const plain = (list) => JSON.stringify([list.version, list.source, list.movies.map((f) => [f.movie_id, f.score])]);
  return plain(one) === plain(other);
}
