// What a rating is given with: native inputs, so that keyboard and screen reader work as with any other choice.
// In: a name for the inputs, what to call with a choice, what to call with a value that is only passed over.
// Out: an element, and `show` for the rating as it is, null for none. Next: rating.js.

import { h, s } from "./dom.js";
import { asGiven, scale } from "./scale.js";

const THUMB = "M2 10h4v11H2z M8 10l4-8c1.7 0 3 1.3 3 3v4h5.3c1.2 0 2 1.1 1.7 2.3l-2 8c-.2 1-1 1.7-2 1.7H8z";

export const CONTROLS = { stars, thumbs, likes, points };

/** One radio button a star, or half star. */
function stars(name, chosen) {
  const steps = Math.round((scale.rating_max - scale.rating_min) / scale.rating_step);
  return radios(name, chosen, Array.from({ length: steps + 1 }, (_, i) => {
    const value = scale.rating_min + i * scale.rating_step;
    const whole = scale.rating_step === 1 || (i === 0 && Number.isInteger(value));
    const words = `${value} ${value === 1 ? "star" : "stars"}`;
    return [value, words, whole ? "star" : value % 1 ? "star half left" : "star half right", null];
  }), (value, rating) => value <= rating);
}

/** Two radio buttons. */
function thumbs(name, chosen) {
  return radios(name, chosen, [
    [scale.rating_max, "Thumbs up", "thumb", thumb()],
    [scale.rating_min, "Thumbs down", "thumb down", thumb()],
  ], (value, rating) => value === rating);
}

/** One button that is pressed or not. */
function likes(_name, chosen) {
  const button = h("button", { type: "button", class: "like", onclick: () => {
    chosen(button.getAttribute("aria-pressed") === "true" ? null : scale.rating_max);
  } }, thumb(), "Like");
  return { element: button, show: (rating) => button.setAttribute("aria-pressed", String(rating !== null)) };
}

/** A slider; Enter, or a click where it stands, takes the value that it shows. */
function points(name, chosen, passed) {
  const width = scale.rating_max - scale.rating_min;
  const step = scale.rating_step || width / 100;
  const slider = h("input", {
    type: "range", id: name, min: scale.rating_min, max: scale.rating_max, step, "aria-label": "Rating",
    oninput: () => { say(Number(slider.value)); passed(Number(slider.value)); },
    onchange: () => { changed = true; chosen(Number(slider.value)); },
    onpointerdown: () => { changed = false; },
    onclick: () => { if (!changed && !rated) chosen(Number(slider.value)); },
    onkeydown: (event) => { if (event.key === "Enter") chosen(Number(slider.value)); },
  });
  let changed = false;
  let rated = false;
  const say = (value) => slider.setAttribute("aria-valuetext", value === null ? "not rated" : asGiven(value));
  const show = (rating) => {
    if (slider.matches(":active")) return; // it is being moved
    rated = rating !== null;
    slider.value = rating ?? scale.rating_min + width / 2;
    slider.classList.toggle("on", rated);
    say(rating);
  };
  return { element: slider, show };
}

function radios(name, chosen, choices, isOn) {
  const inputs = choices.map(([value], i) => h("input", { type: "radio", name, id: `${name}-${i}`, value, onchange: () => chosen(value) }));
  const labels = choices.map(([, words, kind, picture], i) =>
    h("label", { for: inputs[i].id, class: kind, title: words }, picture, h("span", { class: "hidden" }, words)));
  const show = (rating) => choices.forEach(([value], i) => {
    inputs[i].checked = rating !== null && value === rating;
    labels[i].classList.toggle("on", rating !== null && isOn(value, rating));
  });
  return { element: h("div", { class: "row" }, inputs.flatMap((input, i) => [input, labels[i]])), show };
}

function thumb() {
  return s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" }, s("path", { d: THUMB }));
}
