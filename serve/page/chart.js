// Lines over versions or time, as SVG that takes the page's colours, and the same numbers as a table.
// In: rows, and what to draw of them. Out: a figure. Next: pipeline.js.

import { h, s } from "./dom.js";

export const BY_VERSION = {
  name: "Version", labels: 8,
  short: (row) => String(Number(row.version)),
  long: (row) => `${Number(row.version)}${row.published ? "" : " (held back)"}`,
};
export const BY_TIME = {
  name: "Time", labels: 4,
  short: (row) => new Date(row.ended_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  long: (row) => new Date(row.ended_at).toLocaleString(),
};
const [W, H, LEFT, RIGHT, TOP, BOTTOM] = [460, 240, 56, 22, 32, 40];

/** lines: [{name, field, kind, band}]; kind is model, other or third, band two fields, the ends of an interval. rows: oldest
    first. along: what stands below the axis, and the name of a row. from0: the axis begins at 0. note: a sentence. */
export function chart(title, unit, rows, lines, { from0 = false, along = BY_VERSION, note = "" } = {}) {
  const known = (field) => rows.map((row, i) => [i, row[field]]).filter(([, value]) => value !== null && value !== undefined);
  const points = lines.map((line) => known(line.field));
  const bands = lines.map((line) => (line.band ? line.band.map(known) : [[], []]));
  const values = [...points, ...bands.flat()].flat().map(([, value]) => value);
  const figure = h("figure", { class: "chart" }, h("figcaption", {}, title, note && h("span", { class: "note" }, note)));
  if (!values.length) {
    figure.append(h("p", { class: "note" }, "Nothing was measured yet."));
    return figure;
  }
  const [low, high] = bounds(from0 ? 0 : Math.min(...values), Math.max(...values));
  const x = (i) => LEFT + ((W - LEFT - RIGHT) * (rows.length === 1 ? 0.5 : i / (rows.length - 1)));
  const y = (value) => H - BOTTOM - ((H - TOP - BOTTOM) * (value - low)) / (high - low);
  const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}; the table below has the numbers` });
  for (const value of [low, (low + high) / 2, high]) {
    svg.append(s("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(text(LEFT - 6, y(value) + 4, short(value), "end"));
  }
  const every = Math.max(1, Math.ceil(rows.length / along.labels));
  rows.forEach((row, i) => {
    if ((i % every === 0 && i <= rows.length - 1 - every / 2) || i === rows.length - 1) svg.append(text(x(i), H - BOTTOM + 18, along.short(row), "middle"));
  });
  svg.append(text((LEFT + W - RIGHT) / 2, H - 3, along.name.toLowerCase(), "middle"), text(4, 14, unit, "start"));
  const drawn = (pairs) => pairs.map(([i, value]) => `${x(i)},${y(value)}`).join(" ");
  lines.forEach((line, at) => {
    const kind = line.kind ?? "model";
    const [lower, upper] = bands[at];
    if (lower.length > 1) svg.append(s("polygon", { class: `band ${kind}`, points: drawn([...lower, ...upper.reverse()]) }));
    if (points[at].length > 1) {
      svg.append(s("polyline", { class: `line ${kind}`, points: drawn(points[at]) }));
    }
    for (const [i, value] of points[at]) svg.append(s("circle", { class: `dot ${kind}`, cx: x(i), cy: y(value), r: 3.5 }));
  });
  const legend = h("ul", { class: "legend" }, lines.map((line) => h("li", { class: line.kind ?? "model" }, line.name)));
  figure.append(svg, legend, table(title, rows, lines, along));
  return figure;
}

function table(title, rows, lines, along) {
  const names = [along.name, ...lines.map((line) => line.name)];
  const head = h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map((row) => {
    const cells = lines.map((line) => h("td", {}, row[line.field] === null ? "–" : short(row[line.field])));
    return h("tr", {}, h("th", { scope: "row" }, along.long(row)), cells);
  });
  const numbers = h("table", {}, h("caption", { class: "hidden" }, title), h("thead", {}, head), h("tbody", {}, body));
  return h("details", {}, h("summary", {}, "Numbers"), h("div", { class: "wide" }, numbers));
}

function bounds(low, high) {
  const room = (high - low || Math.abs(high) || 1) * 0.15;
  return [Math.max(0, low - room), high + room];
}

function short(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}

function text(x, y, words, anchor) {
  const element = s("text", { x, y, "text-anchor": anchor });
  element.textContent = words;
  return element;
}
