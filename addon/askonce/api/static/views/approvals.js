// Answers that a person has to approve before they are served.
import { ask } from "../api.js";
import { answerText, moment, plural } from "../format.js";
import { html, useState } from "../html.js";
import { Asking, Empty, Problem, Said, useAnswer } from "../parts.js";

const PAGE = 20;
const NONE = { waiting: "Nothing waits.", approved: "Nothing is approved yet.", rejected: "Nothing is rejected." };

export function Approvals() {
  const [which, setWhich] = useState({ state: "waiting", offset: 0 });
  const [told, problem, again] = useAnswer(() => ask("v1/approvals", { query: { ...which, limit: PAGE } }), [which], 15_000);
  const [said, setSaid] = useState("");
  const say = ({ entry, version }, approve) => ask("v1/approvals", { method: "POST", body: { key: entry.key, version, approve } }).then(
    () => setSaid(approve ? "Approved: it is served from now on." : "Rejected: it is not served."),
    error => setSaid(error.message),
  ).then(again);
  const turn = by => setWhich({ ...which, offset: Math.max(0, which.offset + by) });
  return html`
    <h1>Approvals</h1><${Problem} text=${problem} />
    ${told && html`
      <p class="soft">${told.rules.length ? `Of ${told.rules.join(", ")}: an answer is served once it is approved here; until then the provider is asked.`
        : html`No rule has <code>approve: true</code>: answers are served without being asked for here.`}</p>
      <div class="filters"><select aria-label="Which" value=${which.state} onChange=${event => setWhich({ state: event.target.value, offset: 0 })}>
        ${Object.keys(NONE).map(state => html`<option value=${state}>${state}</option>`)}</select>
        <span role="status">${said}</span></div>
      ${told.answers.map(one => html`<${One} key=${`${one.entry.key}/${one.version}`} one=${one} state=${which.state} say=${say} />`)}
      ${!told.answers.length && html`<${Empty}>${NONE[which.state]}<//>`}
      <div class="pager"><span class="soft">${plural(told.count, "answer")}</span>
        <button disabled=${!which.offset} onClick=${() => turn(-PAGE)}>Newer</button>
        <button disabled=${which.offset + PAGE >= told.count} onClick=${() => turn(PAGE)}>Older</button></div>`}`;
}

const One = ({ one, state, say }) => html`
  <article aria-label=${one.entry.prompt.slice(0, 100)}>
    <${Said} label="Prompt" text=${one.entry.prompt} />
    <${Said} label="Answer" text=${answerText(one.answer)} />
    <div class="actions">
      ${state !== "approved" && html`<button class="primary" onClick=${() => say(one, true)}>Approve</button>`}
      ${state !== "rejected" && html`<${Asking} label="Reject…" confirm="Reject" question="Reject this answer?"
        detail="It is not served. When the provider says something else, that waits here." act=${() => say(one, false)} />`}
      <span class="soft">${one.entry.model}, ${one.entry.upstream}, ${moment(one.entry.created)};
        <a href=${`#/answers/${one.entry.key}`}>all of it</a></span>
    </div>
  </article>`;
