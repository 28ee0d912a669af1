// The rules in force, what is wrong with the file, and which rule takes a URL.
import { ask } from "../api.js";
import { percent, span } from "../format.js";
import { html, useState } from "../html.js";
import { Asking, Problem, Table, useAnswer } from "../parts.js";

const COLUMNS = [
  ["Rule", row => row.name],
  ["Hosts", row => row.hosts.join("\n"), "lines"],
  ["Paths", row => row.paths.join("\n"), "lines wide"],
  ["Format", row => row.wire, "wide"],
  ["Match", row => row.match],
  ["At most wrong", row => (row.match === "exact" || row.match === "off" ? "" : percent(row.max_error)), "number wide"],
  ["Kept", row => span(row.ttl), "number"],
  ["Shared by", row => row.scope, "wide"],
];

export function Rules() {
  const [told, problem, again] = useAnswer(() => ask("v1/rules"), [], 10_000);
  return html`
    <h1>Rules</h1><${Problem} text=${problem} />
    <${Explain} />
    ${told && html`
      ${told.mistakes.length > 0 && html`<section class="mistakes"><h2>The file cannot be used as it is</h2>
        <p class="soft">The rules below stay in force until these are mended.</p><pre>${told.mistakes.join("\n")}</pre></section>`}
      ${told.warnings.length > 0 && html`<section><h2>To be looked at</h2><ul>${told.warnings.map(text => html`<li>${text}</li>`)}</ul></section>`}
      <h2>In force</h2>
      <div class="pager"><span class="soft"><code>${told.file}</code></span>
        <${Asking} kind="plain" label="Read the file again…" confirm="Read it" question="Read rules.yaml again?"
          detail="Calls that come from then on are treated by what it says. A file with a mistake changes nothing."
          act=${() => ask("v1/reload", { method: "POST" }).finally(again)} /></div>
      <${Table} label="Rules" columns=${COLUMNS} rows=${told.rules} none="There is no rule." />`}`;
}

function Explain() {
  const [told, setTold] = useState(null);
  const explain = event => {
    event.preventDefault();
    const url = new FormData(event.target).get("url").trim();
    ask("v1/rules/explain", { query: { url } }).then(setTold, error => setTold({ problem: error.message }));
  };
  return html`
    <form class="filters" onSubmit=${explain}>
      <input name="url" type="search" required aria-label="URL" placeholder="Which rule takes https://api.openai.com/v1/chat/completions?" />
      <button class="primary">Explain</button>
    </form>
    ${told && html`<div role="status" class=${`explained ${told.taken ? "taken" : ""}`}>
      ${told.problem ? html`<${Problem} text=${told.problem} />` : html`<pre>${told.lines.join("\n")}</pre>`}</div>`}`;
}
