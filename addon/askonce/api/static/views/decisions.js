// How right the decisions were: evidence, reliability, what was wrong, and what checking costs.
import { ask } from "../api.js";
import { moment, percent, plural, whole } from "../format.js";
import { html } from "../html.js";
import { Problem, Table, Tile, useAnswer } from "../parts.js";

const share = ({ right, wrong }) => (right + wrong ? percent(right / (right + wrong)) : "–");
const counted = rights => `${whole(rights.right)} right, ${whole(rights.wrong)} wrong`;

const RELIABILITY = [
  ["Judge says", row => `${percent(row.above, 0)} – ${percent(row.to, 0)}`],
  ["On average", row => percent(row.said), "number"],
  ["Was right", row => share(row), "number"],
  ["Compared", row => whole(row.right + row.wrong), "number"],
  ["", row => html`<meter min="0" max="1" value=${row.right / (row.right + row.wrong)} aria-label="share that was right" />`],
];
const WRONG = [
  ["When", row => moment(row.time), "soft"],
  ["Told by", row => (row.source === "audit" ? "a check" : "somebody")],
  ["Judge said", row => percent(row.said), "number"],
  ["Answered as", row => (row.key ? html`<a href=${`#/answers/${row.key}`}>${row.prompt}</a>` : "gone"), "prompt"],
];
const PARTITIONS = [
  ["Partition", row => html`<code>${row.partition.slice(0, 12)}</code>`],
  ["Rule", row => row.upstream],
  ["Model", row => row.model],
  ["Right", row => whole(row.right), "number"],
  ["Wrong", row => whole(row.wrong), "number"],
  ["Last", row => moment(row.last), "soft wide"],
];

export function Decisions() {
  const [told, problem] = useAnswer(() => ask("v1/decisions"), [], 15_000);
  return html`
    <h1>Decisions</h1><${Problem} text=${problem} />
    ${told && html`
      <dl class="tiles">
        <${Tile} id="audits" label="Checked hits that were right" value=${share(told.audits)} note=${counted(told.audits)} />
        <${Tile} id="cost" label="Cost of the checks" value=${whole(told.audits.tokens)} note=${`tokens, in ${plural(told.audits.right + told.audits.wrong, "check")}`} />
        <${Tile} id="feedback" label="Said to be right" value=${share(told.feedback)} note=${counted(told.feedback)} />
        <${Tile} id="misses" label="Near misses that would have been right" value=${share(told.misses)} note=${`${counted(told.misses)}; by the verifier: ${counted(told.verdicts)}`} />
        <${Tile} id="refused" label="Never served again" value=${whole(told.refused)} note="pairs of a question and an answer" />
      </dl>
      <h2>Reliability</h2>
      <p class="soft">Of the pairs that the judge gave such a probability, so many were right. Where it says more than that, evidence corrects it.</p>
      <${Table} label="Reliability" columns=${RELIABILITY} rows=${told.reliability} none="No answer was compared yet: near misses and checks of hits fill this." />
      <h2>Hits that were wrong</h2>
      <${Table} label="Hits that were wrong" columns=${WRONG} rows=${told.wrong} none="None is known." />
      <h2>Evidence by partition</h2>
      <${Table} label="Evidence by partition" columns=${PARTITIONS} rows=${told.partitions} none="None yet." />`}`;
}
