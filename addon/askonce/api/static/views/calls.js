// The calls while they come; each opens to what was decided on it, and why.
import { ask } from "../api.js";
import { calls, isHit, kindOf, watchCalls } from "../calls.js";
import { answerText, clock, money, moment, percent, plural, span, three, whole } from "../format.js";
import { html, useEffect, useMemo, useState } from "../html.js";
import { Compared, Drawer, Empty, Facts, LongList, Outcome, Problem, Said, Table, useAnswer } from "../parts.js";

const KINDS = ["exact", "semantic", "near miss", "watched", "miss", "bypass", "error"];
const HEADING = [
  ["When"], ["Decision"], ["Prompt"], ["Model", "wide"], ["Why", "wide"], ["Near", "number wide"], ["Took", "number"],
  ["Saved", "number wide"],
].map(([text, kind = ""]) => html`<span role="columnheader" class=${kind}>${text}</span>`);

const Row = call => html`
  <span role="cell" class="soft">${clock(call.time)}</span>
  <span role="cell"><${Outcome} kind=${kindOf(call)} /></span>
  <span role="cell" class="prompt">${call.prompt || html`<i class="soft">not kept</i>`}</span>
  <span role="cell" class="wide">${call.model}</span>
  <span role="cell" class="wide soft">${call.detail}</span>
  <span role="cell" class="number wide">${three(call.similarity)}</span>
  <span role="cell" class="number">${span(call.seconds)}</span>
  <span role="cell" class="number wide">${isHit(call) ? span(call.seconds_saved) : ""}</span>`;

function matches(call, words, kind, rule) {
  if (kind && kindOf(call) !== kind) return false;
  if (rule && call.upstream !== rule) return false;
  return words.every(word =>
    [call.prompt, call.model, call.detail, call.upstream, call.namespace, call.asked].some(text => text.toLowerCase().includes(word)));
}

export function Calls({ detail, open }) {
  const [list, setList] = useState(calls.list);
  const [problem, setProblem] = useState(calls.problem);
  const [live, setLive] = useState(true);
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const [rule, setRule] = useState("");
  useEffect(() => (live ? watchCalls(() => { setList(calls.list); setProblem(calls.problem); }) : undefined), [live]);
  const rules = useMemo(() => [...new Set(list.map(call => call.upstream))].sort(), [list]);
  const shown = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return list.filter(call => matches(call, words, kind, rule)).reverse();
  }, [list, text, kind, rule]);
  const opened = detail && list.find(call => String(call.number) === detail);
  return html`
    <h1>Calls</h1><${Problem} text=${problem} />
    <form class="filters" onSubmit=${event => event.preventDefault()}>
      <input type="search" aria-label="Filter by words" placeholder="Filter by prompt, model, reason or key" value=${text}
        onInput=${event => setText(event.target.value)} />
      <select aria-label="Decision" value=${kind} onChange=${event => setKind(event.target.value)}>
        <option value="">Every decision</option>${KINDS.map(name => html`<option>${name}</option>`)}</select>
      <select aria-label="Rule" value=${rule} onChange=${event => setRule(event.target.value)}>
        <option value="">Every rule</option>${rules.map(name => html`<option>${name}</option>`)}</select>
      <label class="check"><input type="checkbox" checked=${live} onChange=${event => setLive(event.target.checked)} /> live</label>
      <span class="count" aria-live="off">${shown.length === list.length ? plural(list.length, "call") : `${whole(shown.length)} of ${whole(list.length)}`}</span>
    </form>
    ${list.length ? html`<${LongList} label="Calls" rows=${shown} heading=${HEADING} row=${Row} keyOf=${call => call.number}
        selected=${opened?.number} onOpen=${call => open(String(call.number))} />`
      : html`<${Empty}>No call yet. Run a program with <code>askonce exec -- python your_app.py</code>; this page shows it as it happens.<//>`}
    ${opened && html`<${Call} key=${opened.number} call=${opened} onClose=${() => open("")} />`}`;
}

async function whole_of(call) {
  const maybe = key => (key ? ask(`v1/cache/${key}`).catch(error => { if (error.status !== 404) throw error; }) : undefined);
  const why = await ask("v1/why", { query: { call: call.number } });
  const near = why.nearest?.key;
  const [served, nearest] = await Promise.all([maybe(call.key), near && near !== call.key ? maybe(near) : undefined]);
  return { why, served, nearest: near === call.key ? served : nearest };
}

const DIFFERS = [
  ["Part", row => row.part],
  ["Where", row => html`<code>${row.path}</code>`],
  ["Stored", row => row.stored, "breaks"],
  ["Asked", row => row.asked, "breaks"],
];

function Call({ call, onClose }) {
  const [told, problem] = useAnswer(() => whole_of(call), [call.number]);
  const prompt = told?.why.prompt ?? call.prompt;
  const nearest = told?.nearest;
  const differs = told?.why.differs.filter(row => row.part !== "prompt") ?? [];
  return html`
    <${Drawer} label=${`Call ${call.number}`} onClose=${onClose}>
      <h2><${Outcome} kind=${kindOf(call)} /> <span class="soft">${moment(call.time)}</span></h2>
      <p class="why">${told?.why.why}</p><${Problem} text=${problem} />
      ${nearest && prompt && nearest.prompt !== prompt
        ? html`<${Compared} labels=${["Asked", isHit(call) ? "Answered as" : "Compared with"]} texts=${[prompt, nearest.prompt]} />`
        : html`<${Said} label="Prompt" text=${prompt || "Not kept."} />`}
      ${told?.served && html`<${Said} label="Answer" text=${answerText(told.served.answer)} />`}
      ${call.outcome === "miss" && nearest && html`<${Said} label="What was stored for the other question" text=${answerText(nearest.answer)} />`}
      ${differs.length > 0 && html`<h3>What differs</h3><${Table} label="What differs" columns=${DIFFERS} rows=${differs} />`}
      <${Facts} facts=${[
        ["Reason", call.detail], ["Would have been", call.watched], ["Similarity", three(call.similarity)],
        ["Probability of being right", call.probability === null ? "" : percent(call.probability)],
        ["Took", span(call.seconds)], ["Decided in", call.decision_seconds === null ? "" : span(call.decision_seconds)],
        ["Provider took", told?.served ? span(told.served.upstream_seconds) : nearest ? span(nearest.upstream_seconds) : ""],
        ["Saved", isHit(call) ? `${span(call.seconds_saved)}, ${money(call.usd_saved)}` : ""],
        ["Tokens", `${whole(call.input_tokens)} in, ${whole(call.output_tokens)} out`],
        ["Model", call.model], ["Rule", call.upstream], ["Namespace", call.namespace], ["Status", call.status || "none sent"],
        ["Kept", call.stored ? "yes" : call.unkept ? `no: ${call.unkept}` : isHit(call) ? "" : "no"],
        ["Key", html`<code>${call.asked}</code>`],
      ]} />
      <${Verdict} call=${call} />
      ${call.key && told?.served && html`<p><a href=${`#/answers/${call.key}`}>Show the stored answer</a></p>`}
    <//>`;
}

/** Whether a semantic hit was right. */
function Verdict({ call }) {
  const [said, setSaid] = useState("");
  if (call.outcome !== "semantic" || !call.decision) return null;
  const say = right => ask("v1/feedback", { method: "POST", body: { decision: call.decision, right } }).then(
    noted => setSaid(right ? "Noted: this hit was right." : `Noted: this question is never answered so again.${noted.learned ? " The judge learns from it." : ""}`),
    error => setSaid(error.message),
  );
  return html`
    <div class="actions"><span class="soft">Was this the right answer?</span>
      <button onClick=${() => say(true)}>Right</button><button onClick=${() => say(false)}>Wrong</button></div>
    <p role="status">${said}</p>`;
}
