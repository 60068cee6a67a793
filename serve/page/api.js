// Questions to the server. In: a path below /v1. Out: its JSON, or an error whose message a person can read.
// Next: the views.

const TOKEN = "reelstream.token";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function token() {
  return sessionStorage.getItem(TOKEN);
}

export const get = (path, query) => ask("GET", path, query);
export const post = (path, body) => ask("POST", path, {}, body);
export const put = (path, body) => ask("PUT", path, {}, body);
export const remove = (path) => ask("DELETE", path);

/** JSON with ids as text: a number in JavaScript is exact up to 2^53 only, and an id may be any text anyway. */
export function parse(text) {
  return JSON.parse(text.replace(/("(?:user_id|movie_id)":\s*)(\d+)/g, '$1"$2"'));
}

async function ask(method, path, query = {}, body = undefined, again = true) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token()) headers.Authorization = `Bearer ${token()}`;
  let answer;
  try {
    answer = await fetch(`/v1${path}${search ? `?${search}` : ""}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, "The server does not answer. Is reelstream still running? Your last step was not saved.");
  }
  if (answer.ok) return parse(await answer.text());
  if (answer.status === 401 && again && askForToken()) return ask(method, path, query, body, false);
  let detail = `the server answered ${answer.status}`;
  try {
    detail = (await answer.json()).detail ?? detail;
  } catch {
    // no problem+json: a proxy may have answered
  }
  throw new Problem(answer.status, detail);
}

function askForToken() {
  sessionStorage.removeItem(TOKEN);
  const given = window.prompt("This server needs an access token:");
  if (!given) return false;
  sessionStorage.setItem(TOKEN, given.trim());
  return true;
}
