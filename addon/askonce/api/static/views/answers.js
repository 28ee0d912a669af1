// The answers that are kept: found by words or by meaning, shown, judged, deleted.
import { ask } from "../api.js";
import { answerText, moment, plural, span, three, whole } from "../format.js";
import { html, useState } from "../html.js";
import { Asking, Drawer, Facts, Problem, Said, Table, useAnswer } from "../parts.js";

const PAGE = 50;
const NOTHING = { prompt: "", upstream: "", model: "", namespace: "", depends: "" };
const given = which => Object.fromEntries(Object.entries(which).filter(([, value]) => value));

const COLUMNS = [
  ["Prompt", row => html`<a href=${`#/answers/${row.key}`}>${row.prompt.length > 300 ? `${row.prompt.slice(0, 300)}…` : row.prompt || "(empty)"}</a>`, "prompt"],
  ["Model", row => row.model],
  ["Rule", row => row.upstream, "wide"],
  ["Hits", row => whole(row.hits), "number"],
  ["Asked", row => moment(row.created), "wide soft"],
];
const NEAR = ["Near", row => three(row.similarity), "number"];

/** What was asked for, and what came of it: the two are shown together. */
async function load(asked) {
  const { meaning, which, offset } = asked;
  if (!meaning) return { asked, ...await ask("v1/cache", { query: { ...given(which), offset, limit: PAGE } }) };
  const { results } = await ask("v1/cache/search", { query: { q: meaning, limit: PAGE } });
  return { asked, count: results.length, entries: results.map(({ entry, similarity }) => ({ ...entry, similarity })) };
}

export function Answers({ detail, open }) {
  const [wanted, setAsked] = useState({ meaning: "", which: NOTHING, offset: 0 });
  const [found, problem, again] = useAnswer(() => load(wanted), [wanted]);
  const asked = found?.asked ?? wanted;
  const search = event => {
    event.preventDefault();
    const { by, text, ...which } = Object.fromEntries(new FormData(event.target));
    const words = text.trim();
    setAsked(by === "meaning" && words ? { meaning: words, which: NOTHING, offset: 0 }
      : { meaning: "", which: { ...which, prompt: words }, offset: 0 });
  };
  const turn = by => setAsked({ ...asked, offset: Math.max(0, asked.offset + by) });
  const named = Object.entries(given(asked.which));
  return html`
    <h1>Answers</h1><${Problem} text=${problem} />
    <form class="filters" role="search" onSubmit=${search}>
      <input name="text" type="search" aria-label="Find" placeholder="Find a prompt" />
      <select name="by" aria-label="Find by"><option value="words">by words</option><option value="meaning">by meaning</option></select>
      <input name="upstream" class="short" aria-label="Rule" placeholder="rule" />
      <input name="model" class="short" aria-label="Model" placeholder="model" />
      <input name="namespace" class="short" aria-label="Namespace" placeholder="namespace" />
      <input name="depends" class="short" aria-label="Depends on" placeholder="depends on" />
      <button class="primary">Find</button>
    </form>
    ${found && html`
      <${Table} label="Answers" columns=${asked.meaning ? [...COLUMNS, NEAR] : COLUMNS} rows=${found.entries}
        none=${asked.meaning || named.length ? "Nothing like that is kept." : "Nothing is kept yet."} />
      <div class="pager">
        <span class="soft">${asked.meaning ? `${plural(found.count, "answer")}, nearest first`
          : found.count ? `${whole(asked.offset + 1)}–${whole(asked.offset + found.entries.length)} of ${plural(found.count, "answer")}` : ""}</span>
        ${!asked.meaning && html`
          <button disabled=${!asked.offset} onClick=${() => turn(-PAGE)}>Newer</button>
          <button disabled=${asked.offset + PAGE >= found.count} onClick=${() => turn(PAGE)}>Older</button>
          <${Asking} label=${named.length ? "Delete these…" : "Delete all…"} disabled=${!found.count}
            question=${`Delete ${plural(found.count, "answer")}?`}
            detail=${named.length ? `Every answer with ${named.map(([name, value]) => `${name} “${value}”`).join(", ")}. The providers are asked again.`
              : "Everything that is kept. The providers are asked again."}
            act=${() => ask("v1/cache", { method: "DELETE", query: given(asked.which) }).then(() => { turn(-asked.offset); again(); })} />`}
      </div>`}
    ${detail && html`<${Answer} key=${detail} id=${detail} onClose=${() => open("")} onGone=${() => { open(""); again(); }} />`}`;
}

function Answer({ id, onClose, onGone }) {
  const [entry, problem] = useAnswer(() => ask(`v1/cache/${encodeURIComponent(id)}`), [id]);
  const before = entry?.turns.filter(turn => turn.text !== entry.prompt) ?? [];
  return html`
    <${Drawer} label="Answer" onClose=${onClose}>
      <h2>Stored answer</h2><${Problem} text=${problem} />
      ${entry && html`
        <${Said} label="Prompt" text=${entry.prompt} />
        <${Said} label="Answer" text=${answerText(entry.answer)} />
        ${before.length > 0 && html`<details><summary>${plural(before.length, "other turn")}</summary>
          ${before.map(turn => html`<${Said} label=${turn.role} text=${turn.text} />`)}</details>`}
        <${Facts} facts=${[
          ["Model", entry.model], ["Rule", entry.upstream], ["Host", entry.host], ["Namespace", entry.namespace],
          ["Provider took", span(entry.upstream_seconds)], ["Tokens", `${whole(entry.input_tokens)} in, ${whole(entry.output_tokens)} out`],
          ["Depends on", Object.entries(entry.depends).map(([tag, version]) => (version ? `${tag}@${version}` : tag)).join(", ")],
          ["Hits", whole(entry.hits)], ["Last used", entry.hits ? moment(entry.last_used) : "never"],
          ["Asked", moment(entry.created)], ["Fresh until", entry.expires.startsWith("9999") ? "for ever" : moment(entry.expires)],
          ["Key", html`<code>${entry.key}</code>`], ["Partition", html`<code>${entry.partition}</code>`],
        ]} />
        <details><summary>As it is stored</summary><pre>${entry.answer.encoding === "json" ? JSON.stringify(entry.answer.body, null, 2) : entry.answer.body}</pre></details>
        <${LastHit} entry=${entry} />
        <div class="actions"><${Asking} label="Delete…" question="Delete this answer?"
          detail="The provider is asked when this question comes again."
          act=${() => ask(`v1/cache/${entry.key}`, { method: "DELETE" }).then(onGone)} /></div>`}
    <//>`;
}

/** Whether the latest hit on the answer was right. */
function LastHit({ entry }) {
  const [said, setSaid] = useState("");
  if (!entry.hits) return null;
  const say = right => ask("v1/feedback", { method: "POST", body: { key: entry.key, right } }).then(
    () => setSaid(right ? "Noted: that hit was right." : "Noted: that question is never answered so again."),
    error => setSaid(error.status === 404 ? "No other wording was answered by it since the start." : error.message),
  );
  return html`
    <div class="actions"><span class="soft">The last other wording that it answered:</span>
      <button onClick=${() => say(true)}>was right</button><button onClick=${() => say(false)}>was wrong</button></div>
    <p role="status">${said}</p>`;
}
