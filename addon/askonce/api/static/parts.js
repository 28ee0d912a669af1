// What several views are made of.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { compareWords } from "./format.js";

/** [value, problem, again]: what `load` gives, asked anew when `inputs` change and every `every` milliseconds. */
export function useAnswer(load, inputs, every = 0) {
  const [state, setState] = useState([null, ""]);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let wanted = true;
    const ask = () => load().then(
      value => wanted && setState([value, ""]),
      error => wanted && error.status !== 401 && setState(([value]) => [value, error.message]),
    );
    ask();
    const timer = every ? setInterval(() => document.hidden || ask(), every) : 0;
    return () => { wanted = false; clearInterval(timer); };
  }, [...inputs, round]);
  return [state[0], state[1], () => setRound(before => before + 1)];
}

export const Problem = ({ text }) => html`<p class="problem" role="alert">${text}</p>`;
export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;
export const Outcome = ({ kind }) => html`<span class=${`outcome ${kind.replace(" ", "-")}`}>${kind}</span>`;

export const Tile = ({ label, value, note, id }) => html`
  <div class="tile"><dt>${label}</dt><dd data-figure=${id}>${value}<small>${note}</small></dd></div>`;

/** A table of a few rows. `columns`: [heading, cell of a row, class]. */
export const Table = ({ label, columns, rows, none, onOpen }) => html`
  <div class="scroll"><table aria-label=${label}>
    <thead><tr>${columns.map(([heading, , kind]) => html`<th scope="col" class=${kind}>${heading}</th>`)}</tr></thead>
    <tbody>${rows.map(row => html`
      <tr class=${onOpen ? "opens" : ""} onClick=${onOpen && (() => onOpen(row))}>
        ${columns.map(([, cell, kind]) => html`<td class=${kind}>${cell(row)}</td>`)}</tr>`)}
      ${!rows.length && html`<tr><td class="soft" colspan=${columns.length}>${none}</td></tr>`}</tbody>
  </table></div>`;

/** Rows of one height, of which only those in sight are in the document: a hundred thousand cost what thirty do. */
export function LongList({ label, rows, height = 36, heading, row, keyOf, selected, onOpen }) {
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [room, setRoom] = useState(600);
  useLayoutEffect(() => {
    const measure = () => setRoom(box.current.clientHeight);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.min(Math.floor(top / height) - 8, rows.length - 1));
  const shown = rows.slice(first, first + Math.ceil(room / height) + 16);
  const move = event => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
    const at = Number(event.target.closest?.("[aria-rowindex]")?.getAttribute("aria-rowindex")) - 1;
    if (event.key === "Enter" && at >= 0) onOpen(rows[at]);
    if (!step || Number.isNaN(at)) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(rows.length - 1, at + step));
    const view = box.current;
    if (to * height < view.scrollTop) view.scrollTop = to * height;
    if ((to + 1) * height > view.scrollTop + view.clientHeight) view.scrollTop = (to + 1) * height - view.clientHeight;
    setTop(view.scrollTop);
    requestAnimationFrame(() => requestAnimationFrame(() => view.querySelector(`[aria-rowindex="${to + 1}"]`)?.focus()));
  };
  return html`
    <div class="list" role="table" aria-label=${label} aria-rowcount=${rows.length}>
      <div class="row head" role="row">${heading}</div>
      <div class="body" role="rowgroup" ref=${box} onScroll=${() => setTop(box.current.scrollTop)} onKeyDown=${move}>
        <div style=${{ height: `${rows.length * height}px`, position: "relative" }}>
          <div style=${{ transform: `translateY(${first * height}px)` }}>
            ${shown.map((item, at) => html`
              <div key=${keyOf(item)} class="row opens" role="row" tabindex=${first + at === 0 || keyOf(item) === selected ? 0 : -1}
                aria-rowindex=${first + at + 1} aria-selected=${keyOf(item) === selected} style=${{ height: `${height}px` }}
                onClick=${() => onOpen(item)}>${row(item)}</div>`)}
          </div>
        </div>
      </div>
    </div>`;
}

/** What one row says in full, beside the list. Escape closes it. */
export function Drawer({ label, onClose, children }) {
  const panel = useRef(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    panel.current.focus();
    const close = event => event.key === "Escape" && !document.querySelector("dialog[open]") && onClose();
    addEventListener("keydown", close);
    return () => { removeEventListener("keydown", close); before?.focus?.(); };
  }, []);
  return html`
    <aside class="drawer" aria-label=${label} tabindex="-1" ref=${panel}>
      <button class="close quiet" aria-label="Close" onClick=${onClose}>✕</button>${children}</aside>`;
}

/** A button that asks before it does what cannot be taken back. */
export function Asking({ label, question, detail, confirm = "Delete", kind = "danger", act, disabled }) {
  const dialog = useRef(null);
  const [problem, setProblem] = useState("");
  const go = async () => {
    try {
      await act();
      dialog.current?.close();
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`
    <button class=${kind} disabled=${disabled} onClick=${() => { setProblem(""); dialog.current.showModal(); }}>${label}</button>
    <dialog ref=${dialog} aria-label=${question}>
      <h2>${question}</h2><p>${detail}</p>${problem && html`<${Problem} text=${problem} />`}
      <div class="actions"><button autofocus onClick=${() => dialog.current.close()}>Cancel</button>
        <button class=${kind} onClick=${go}>${confirm}</button></div>
    </dialog>`;
}

export const Facts = ({ facts }) => html`
  <dl class="facts">${facts.filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

const Marked = ({ label, words }) => html`
  <figure><figcaption>${label}</figcaption>
    <pre>${words.map(([text, differs]) => (differs && text.trim() ? html`<mark>${text}</mark>` : text))}</pre></figure>`;

/** Two texts, with the words marked that only one of them has; nothing where they have little in common. */
export function Compared({ labels, texts }) {
  let [left, right] = compareWords(...texts);
  const alike = left.filter(([, differs]) => !differs).reduce((sum, [text]) => sum + text.trim().length, 0);
  if (alike < 0.25 * texts[0].length) [left, right] = texts.map(text => [[text, false]]);
  return html`<div class="compared"><${Marked} label=${labels[0]} words=${left} /><${Marked} label=${labels[1]} words=${right} /></div>`;
}

export const Said = ({ label, text }) => html`<figure><figcaption>${label}</figcaption><pre>${text}</pre></figure>`;

const BARS = [["exact", "exact"], ["semantic", "reworded"], ["miss", "new"], ["bypass", "not cacheable"], ["error", "failed"]];
const WIDTH = 1000, HEIGHT = 160;

/** The calls of each step, stacked by what became of them. */
export function Chart({ history }) {
  const since = Date.parse(history.since), step = history.step * 1000;
  const count = Math.max(1, Math.ceil((Date.parse(history.until) - since) / step));
  const sum = point => BARS.reduce((total, [name]) => total + point[name], 0);
  const most = Math.max(1, ...history.points.map(sum));
  const wide = WIDTH / count, moments = { dateStyle: "short", timeStyle: history.step < 86400 ? "short" : undefined };
  const bars = history.points.map(point => {
    let top = HEIGHT;
    const x = ((Date.parse(point.start) - since) / step) * wide;
    const told = [new Date(point.start).toLocaleString(undefined, moments), ...BARS.filter(([name]) => point[name]).map(([name, word]) => `${point[name]} ${word}`)];
    return html`<g><title>${told.join("\n")}</title>
      <rect class="reach" x=${x} y="0" width=${wide} height=${HEIGHT} />
      ${BARS.filter(([name]) => point[name]).map(([name]) => {
        const height = (point[name] / most) * HEIGHT;
        return html`<rect class=${name} x=${x + wide * 0.1} y=${top -= height} width=${Math.min(wide * 0.8, 40)} height=${height} />`;
      })}</g>`;
  });
  const edge = at => new Date(at).toLocaleString(undefined, moments);
  return html`
    <figure class="chart">
      <figcaption>${BARS.map(([name, word]) => html`<span class=${`key ${name}`}>${word}</span>`)}
        <span class="most">${most} calls in ${history.step >= 86400 ? "a day" : history.step >= 3600 ? `${history.step / 3600} h` : `${history.step / 60} min`} at most</span></figcaption>
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label="Calls over time">${bars}</svg>
      <div class="axis"><span>${edge(since)}</span><span>${edge(Date.parse(history.until))}</span></div>
    </figure>`;
}
