// What was asked and saved over a time: figures, their course, and whose they are.
import { ask } from "../api.js";
import { bytes, money, percent, plural, span, whole } from "../format.js";
import { html, useState } from "../html.js";
import { Chart, Problem, Table, Tile, useAnswer } from "../parts.js";

const RANGES = [["1 h", 3600], ["24 h", 86400], ["7 d", 604800], ["30 d", 2592000], ["1 y", 31536000]];
const chosen = { seconds: 86400, upstream: undefined, model: undefined, namespace: undefined, caller: undefined };

const hits = sums => sums.exact + sums.semantic;
const all = sums => hits(sums) + sums.miss + sums.bypass + sums.error;
const rate = sums => (hits(sums) + sums.miss ? hits(sums) / (hits(sums) + sums.miss) : 0);

const columns = choose => [
  ["", ([name, , title]) => html`<button class="link" onClick=${() => choose(name)}>${title}</button>`, "name"],
  ["Calls", ([, sums]) => whole(all(sums)), "number"],
  ["Exact", ([, sums]) => whole(sums.exact), "number"],
  ["Semantic", ([, sums]) => whole(sums.semantic), "number"],
  ["Hit rate", ([, sums]) => percent(rate(sums)), "number"],
  ["Time saved", ([, sums]) => span(sums.seconds_saved), "number wide"],
  ["Tokens saved", ([, sums]) => whole(sums.tokens_saved), "number wide"],
  ["Money saved", ([, sums]) => money(sums.usd_saved), "number"],
];

const By = ({ title, groups, choose, nameless = "the default one" }) => html`
  <section><h2>${title}</h2>
    <${Table} label=${title} columns=${columns(choose)} none="No call in this time."
      rows=${Object.entries(groups).map(([name, sums]) => [name, sums, name || nameless]).sort((a, b) => all(b[1]) - all(a[1]))} /></section>`;

export function Overview() {
  const [which, setWhich] = useState(chosen);
  const set = change => setWhich(Object.assign(chosen, change) && { ...chosen });
  const [told, problem] = useAnswer(() => Promise.all([ask("v1/history", { query: which }), ask("v1/cache/stats")]), [which], 10_000);
  const narrowed = ["model", "upstream", "namespace", "caller"].filter(kind => which[kind] !== undefined);
  const [history, cache] = told ?? [];
  return html`
    <h1>Overview</h1>
    <div class="filters">
      <div class="choice" role="group" aria-label="Range">${RANGES.map(([title, seconds]) => html`
        <button aria-pressed=${seconds === which.seconds} onClick=${() => set({ seconds })}>${title}</button>`)}</div>
      ${narrowed.map(kind => html`
        <button class="chip" aria-label=${`Not only ${kind}`} onClick=${() => set({ [kind]: undefined })}>${kind === "upstream" ? "rule" : kind}: ${which[kind] || (kind === "caller" ? "not known" : "default")} ✕</button>`)}
    </div>
    <${Problem} text=${problem} />
    ${history && html`
      <${Figures} total=${history.total} cache=${cache} />
      <${Chart} history=${history} />
      <${By} title="By model" groups=${history.models} choose=${model => set({ model })} />
      <${By} title="By rule" groups=${history.upstreams} choose=${upstream => set({ upstream })} />
      <${By} title="By namespace" groups=${history.namespaces} choose=${namespace => set({ namespace })} />
      <${By} title="By caller" groups=${history.callers} choose=${caller => set({ caller })} nameless="not known" />`}`;
}

const Figures = ({ total, cache }) => html`
  <dl class="tiles">
    <${Tile} id="calls" label="Calls" value=${whole(all(total))} note=${`${whole(total.miss)} new, ${whole(total.bypass)} not cacheable${total.error ? `, ${whole(total.error)} failed` : ""}`} />
    <${Tile} id="hits" label="Answered here" value=${whole(hits(total))} note=${`${whole(total.exact)} exact, ${whole(total.semantic)} reworded`} />
    <${Tile} id="rate" label="Hit rate" value=${percent(rate(total))} note="of what may be answered here" />
    <${Tile} id="time" label="Time saved" value=${span(total.seconds_saved)} note="of waiting" />
    <${Tile} id="money" label="Money saved" value=${money(total.usd_saved)} note=${plural(total.tokens_saved, "token")} />
    ${total.watched > 0 && html`<${Tile} id="watched" label="Only watched" value=${whole(total.watched)} note=${`would have been answered here, and saved ${money(total.usd_watched)}`} />`}
    <${Tile} id="kept" label="Answers kept" value=${whole(cache.entry_count)} note=${bytes(cache.bytes)} />
  </dl>`;
