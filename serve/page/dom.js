// Small helpers to build the page. In: names, attributes, children. Out: elements; text is always text, never markup.
// Next: every view.

/** An element with attributes (on… are listeners, null is left out) and children (strings become text). */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The same in SVG. */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function titleOf(movie) {
  return movie.title ?? `Movie ${movie.movie_id}`;
}

export function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

let counted = 0;

/** An id that no other element has. */
export function uid(word) {
  counted += 1;
  return `${word}-${counted}`;
}

/** Keeps rows of a list in place: makes those that are new, moves the known ones, removes the others. */
export function keyed(list, items, key, make, update) {
  const old = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const rows = items.map((item) => {
    const name = String(key(item));
    const row = old.get(name) ?? make(item);
    row.dataset.key = name;
    old.delete(name);
    update(row, item);
    return row;
  });
  for (const row of old.values()) row.remove();
  rows.forEach((row, i) => {
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
}
