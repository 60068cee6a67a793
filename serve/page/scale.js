// The scale of ratings, and ratings in words. In: the answer of /v1/settings. Out: text. Next: rating.js, rows.js, movie.js.

export const scale = { rating_min: 0.5, rating_max: 5, rating_step: 0.5, kind: "stars" };

/** A rating that somebody gave. */
export function asGiven(value) {
  if (scale.kind === "stars") return `${number(value, 1)} ★`;
  if (scale.kind === "thumbs") return value === scale.rating_max ? "thumbs up" : "thumbs down";
  if (scale.kind === "likes") return "a like";
  return points(value, scale.rating_step === 0 ? decimals() : String(scale.rating_step).split(".")[1]?.length ?? 0);
}

/** A rating that is expected, or a mean, with words before or behind it; nothing where all ratings are the same. */
export function asExpected(value, words) {
  if (scale.kind === "likes") return "";
  const said = scale.kind === "thumbs" ? `${Math.round(100 * share(value))} % thumbs up`
    : scale.kind === "stars" ? `${number(value, 1)} ★` : points(value, decimals());
  return words === "on average" ? `${said} ${words}` : `${words} ${said}`;
}

/** What an error of a prediction is counted in. */
export function unit() {
  return scale.kind === "stars" ? "stars" : "points";
}

function points(value, digits) {
  const said = number(value, digits);
  return scale.rating_min < 0 ? `${said} (${number(scale.rating_min, 0)} to ${number(scale.rating_max, 0)})` : `${said} of ${scale.rating_max}`;
}

function share(value) {
  return (value - scale.rating_min) / (scale.rating_max - scale.rating_min);
}

function decimals() {
  const width = scale.rating_max - scale.rating_min;
  return width >= 50 ? 0 : width >= 5 ? 1 : 2;
}

function number(value, digits) {
  return Number(value).toFixed(digits).replace("-", "−");
}
