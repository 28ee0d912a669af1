// The documented API with its token. A 401 tells whoever asked `onLocked`, which shows the login.

let token = sessionStorage.getItem("token") || "";
const locked = new Set();

export function onLocked(tell) {
  locked.add(tell);
  return () => locked.delete(tell);
}

export function useToken(text) {
  token = text;
  if (text) sessionStorage.setItem("token", text);
  else sessionStorage.removeItem("token");
}

export const hasToken = () => token !== "";

/** The JSON answer to `path`, such as "v1/stats". Throws an Error with what the API says is wrong. */
export async function ask(path, { method = "GET", query = {}, body } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const url = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("Askonce does not answer");
  }
  const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (response.ok) return answer;
  if (response.status === 401) locked.forEach(tell => tell());
  throw Object.assign(new Error(answer.error || `status ${response.status}`), { status: response.status, answer });
}
