// The pipeline as it runs, and how the versions have become. In: events of the server. Out: a page for #/pipeline.

import * as api from "./api.js";
import { failed } from "./alert.js";
import { BY_TIME, chart } from "./chart.js";
import { ago, h } from "./dom.js";
import { scale, unit } from "./scale.js";
import { onPipeline, onVersion } from "./live.js";

const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

export async function pipeline(main) {
  const names = {
    state: "Stream", events: "Events per second", lag: "Waiting in Kafka", fresh: "From Kafka to the lists",
    accepted: "Ratings in the store", rejected: "Rejected events", version: "Model", next: "Next refit",
  };
  const cells = Object.fromEntries(Object.keys(names).map((key) => [key, h("dd", { id: `live-${key}` }, "…")]));
  const charts = h("div", { class: "charts", id: "charts" });
  const rollbacks = h("div", { id: "rollbacks" });
  const live = h("div", { class: "charts", id: "live-quality" });
  const trouble = h("p", { class: "trouble", role: "status" });
  main.replaceChildren(
    h("h1", { tabindex: "-1" }, "Pipeline"),
    trouble,
    h("dl", { class: "tiles" }, Object.entries(names).map(([key, name]) => h("div", {}, h("dt", {}, name), cells[key]))),
    h("section", {}, h("h2", {}, "Live ratings, scored before they are learned from"), live),
    h("section", {}, h("h2", {}, "Every version so far"), charts, rollbacks),
  );
  const show = (now) => {
    trouble.textContent = [now.error ?? now.stream?.error, ...(now.warnings ?? [])].filter(Boolean).join("; ");
    const stream = now.stream;
    cells.state.textContent = !stream ? "never ran here" : stream.alive ? stream.state : stream.state === "stopped" ? "stopped" : "ended without a word";
    cells.events.textContent = stream?.alive ? number(stream.events_per_s) : "–";
    cells.lag.textContent = stream?.alive && stream.lag_events !== null ? `${number(stream.lag_events)} events` : "–";
    cells.fresh.textContent = stream?.fresh_s ? `${Math.round(stream.fresh_s * 1000)} ms (median)` : "–";
    cells.accepted.textContent = number(now.ratings?.accepted);
    cells.rejected.textContent = number(now.ratings?.rejected);
    cells.version.textContent = version(now);
    cells.next.textContent = next(now);
  };
  const draw = async () => {
    const all = (await api.get("/versions")).history;
    const history = all.filter((row) => !row.rolled_back);
    rollbacks.replaceChildren(...all.filter((row) => row.rolled_back).map((row) => h("p", { class: "note" }, rollback(row))));
    charts.replaceChildren(
      ...rated(() => chart("RMSE on held-out ratings (lower is better)", unit(), history, [
        { name: "this model", field: "rmse" }, { name: "biases only", field: "rmse_bias_only", kind: "other" }])),
      chart("nDCG@10 on held-out ratings (higher is better)", "nDCG", history, [
        { name: "this model", field: "ndcg_at_10" }, { name: "popularity", field: "ndcg_at_10_popularity", kind: "other" }]),
      chart("How long the refit took", "seconds", history, [{ name: "refit", field: "refit_s" }], { from0: true }),
    );
  };
  let scored = null;
  const score = async (now) => {
    if (now.ratings?.accepted === scored) return;
    scored = now.ratings?.accepted;
    const found = await api.get("/quality");
    live.replaceChildren(...quality(found));
  };
  const stops = [onPipeline((now) => { show(now); score(now).catch(failed); }), onVersion(() => draw().catch(failed))];
  draw().catch(failed);
  return () => stops.forEach((stop) => stop());
}

/** Of likes alone every rating is the same: there is nothing to predict. */
function rated(make) {
  return scale.kind === "likes" ? [] : [make()];
}

function quality(found) {
  if (!found.ratings) return [h("p", { class: "note" }, "No live rating was scored yet: that takes a published version, and a movie new to its user.")];
  const both = (field) => ({ name: "this model", field, band: [`${field}_low`, `${field}_high`] });
  const lists = (field) => [both(field),
    { name: "popularity", field: `popular_${field}`, kind: "other" }, { name: "popularity of late", field: `recent_${field}`, kind: "third" }];
  const over = (title, unit, field, lines) => chart(title, unit, found.over_time, lines, { along: BY_TIME, note: said(found, field) });
  return [
    ...rated(() => over("RMSE (lower is better)", unit(), "rmse", [both("rmse"), { name: "biases only", field: "bias_only_rmse", kind: "other" }])),
    over("Hit rate@10 (higher is better)", "share", "hit_rate", lists("hit_rate")),
    over("nDCG@10 (higher is better)", "nDCG", "ndcg_at_10", lists("ndcg_at_10")),
  ];
}

function said(found, field) {
  const [value, low, high] = [found[field], found[`${field}_low`], found[`${field}_high`]].map((one) => one?.toFixed(3) ?? "–");
  return `${value} in all, 95 % interval ${low} to ${high}`;
}

function version(now) {
  if (!now.version) return "none published yet";
  const age = ago(now.age_s);
  if (!now.rolled_back) return `version ${Number(now.version)}, ${age} old`;
  return `version ${Number(now.version)}, published again ${age} ago in place of ${Number(now.rolled_back.from)}`;
}

function rollback({ at, rolled_back: { from, to, reason } }) {
  const why = reason ? `: ${reason}` : "";
  return `${new Date(at).toLocaleString()}: version ${Number(to)} was published again in place of version ${Number(from)}${why}`;
}

function next(now) {
  const trigger = now.trigger;
  if (now.refit?.state === "running" && now.refit.alive) return `running: ${now.refit.step}`;
  if (!trigger?.alive) return "only by hand";
  const left = trigger.refit_after_ratings - trigger.new_ratings;
  const counts = `after ${number(Math.max(0, left))} more ratings`;
  return trigger.due_in_s === null || trigger.due_in_s === undefined ? counts : `${counts}, or in ${ago(trigger.due_in_s)}`;
}
