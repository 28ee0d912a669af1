// How each part is, what went wrong, and what came to the proxy and became no call.
import { ask } from "../api.js";
import { moment, span, whole } from "../format.js";
import { html } from "../html.js";
import { Problem, Table, useAnswer } from "../parts.js";

const CHECKS = [
  ["", row => html`<span class=${`state ${row.state}`}>${row.state}</span>`, "narrow"],
  ["Part", row => row.name, "part"],
  ["", row => row.says, "breaks"],
];
const STRAYS = [
  ["What", row => row.kind],
  ["Where", row => row.place, "breaks"],
  ["", row => row.detail, "breaks soft"],
  ["Times", row => whole(row.count), "number"],
  ["Last", row => moment(row.last), "soft wide"],
];

export function Health() {
  const [told, problem] = useAnswer(() => Promise.all([ask("v1/checks"), ask("v1/strays"), ask("v1/stats"), ask("health")]), [], 5000);
  const [{ checks }, { strays }, stats, health] = told ?? [{}, {}, {}, {}];
  return html`
    <h1>Health</h1><${Problem} text=${problem} />
    ${told && html`
      <p class="soft">Askonce ${health.version}, running for ${span(stats.uptime_seconds)}; ${whole(stats.in_flight)} calls under way.</p>
      <${Table} label="Checks" columns=${CHECKS} rows=${checks} />
      <h2>What became no call</h2>
      <p class="soft">Connections that no rule names, clients that do not trust the proxy, servers that were not reached.</p>
      <${Table} label="What became no call" columns=${STRAYS} rows=${strays} none="Nothing so far." />`}`;
}
