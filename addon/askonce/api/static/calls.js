// The calls that the page has seen, kept while it is open: asked for every two seconds while somebody looks.
import { ask } from "./api.js";

const MOST = 100_000;
const AT_ONCE = 2000;
const PAUSE = 2000;

export const calls = { list: [], since: "", problem: "" };
const watching = new Set();
let running = false;

/** `tell` is called after each change; returns what ends it. */
export function watchCalls(tell) {
  watching.add(tell);
  if (!running) follow();
  return () => watching.delete(tell);
}

async function follow() {
  running = true;
  while (watching.size) {
    if (!document.hidden) await catchUp();
    await new Promise(done => setTimeout(done, PAUSE));
  }
  running = false;
}

async function catchUp() {
  try {
    for (let more = true; more;) {
      const after = calls.list.at(-1)?.number ?? 0;
      const page = await ask("v1/calls", { query: { after, limit: AT_ONCE } });
      const anew = calls.since && calls.since !== page.since;
      calls.since = page.since;
      if (anew && after) calls.list = [];
      else if (page.calls.length) calls.list = calls.list.concat(page.calls).slice(-MOST);
      more = (anew && after > 0) || page.calls.length === AT_ONCE;
    }
    calls.problem = "";
  } catch (error) {
    if (error.status !== 401) calls.problem = error.message;
  }
  watching.forEach(tell => tell());
}

/** What a person calls it: a miss is near where the judge or a guard refused a stored question, not the distance. */
export function kindOf(call) {
  if (call.watched) return "watched";
  return call.outcome === "miss" && call.nearest && !call.detail.startsWith("similarity") ? "near miss" : call.outcome;
}
export const isHit = call => call.outcome === "exact" || call.outcome === "semantic";
