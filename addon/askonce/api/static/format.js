// Values as a person reads them. Numbers are in the browser's own language.

const grouped = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const usd = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 2 });
const cents = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 4 });

export const whole = value => grouped.format(value);
export const money = value => (value === null ? "unknown" : (Math.abs(value) >= 1 || value === 0 ? usd : cents).format(value));
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
export const three = value => (value === null || value === undefined ? "" : value.toFixed(3));
export const clock = text => new Date(text).toLocaleTimeString();
export const moment = text => (text ? new Date(text).toLocaleString() : "never");
export const plural = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

export function span(seconds) {
  if (seconds >= 172800) return `${(seconds / 86400).toFixed(1)} d`;
  if (seconds >= 7200) return `${(seconds / 3600).toFixed(1)} h`;
  if (seconds >= 120) return `${(seconds / 60).toFixed(1)} min`;
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; count >= 1024 && unit < 4; unit++) count /= 1024;
  return `${count.toFixed(unit && count < 100 ? 1 : 0)} ${units[unit]}`;
}

/** What a provider's answer says, where its format is known; else the whole of it. */
export function answerText({ encoding, body }) {
  if (encoding === "base64") return `${Math.floor(body.length * 0.75)} bytes that are no text`;
  if (encoding === "text") return body;
  const parts = [
    body?.choices?.map(choice => choice.message?.content ?? choice.text),
    Array.isArray(body?.content) ? body.content.map(part => part.text) : undefined,
    body?.candidates?.flatMap(candidate => candidate.content?.parts?.map(part => part.text)),
    body?.output?.flatMap?.(item => item.content?.map(part => part.text)),
    Array.isArray(body?.message?.content) ? body.message.content.map(part => part.text) : [body?.message?.content],
  ];
  const said = parts.map(texts => (texts || []).filter(text => typeof text === "string" && text)).find(texts => texts.length);
  return said ? said.join("\n") : JSON.stringify(body, null, 2);
}

/** Both texts as [[words, differs], ...]: which words only one of them has. Long texts are not compared. */
export function compareWords(one, other) {
  const a = one.split(/(?<=\s)(?=\S)/), b = other.split(/(?<=\s)(?=\S)/);
  if (a.length * b.length > 250_000) return [[[one, false]], [[other, false]]];
  const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
  const left = [], right = [];
  const put = (side, word, differs) => {
    const last = side.at(-1);
    if (last && last[1] === differs) last[0] += word;
    else side.push([word, differs]);
  };
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) put(left, a[i++], false), put(right, b[j++], false);
    else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1])) put(left, a[i++], true);
    else put(right, b[j++], true);
  }
  return [left, right];
}
