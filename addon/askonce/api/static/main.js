// The frame: which view the address names, the way in, and what all views share.
import { hasToken, onLocked, useToken } from "./api.js";
import { html, render, useEffect, useState } from "./html.js";
import { Answers } from "./views/answers.js";
import { Approvals } from "./views/approvals.js";
import { Calls } from "./views/calls.js";
import { Decisions } from "./views/decisions.js";
import { Health } from "./views/health.js";
import { Overview } from "./views/overview.js";
import { Rules } from "./views/rules.js";

const VIEWS = {
  overview: ["Overview", Overview],
  calls: ["Calls", Calls],
  answers: ["Answers", Answers],
  approvals: ["Approvals", Approvals],
  decisions: ["Decisions", Decisions],
  rules: ["Rules", Rules],
  health: ["Health", Health],
};

const place = () => {
  const [view, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return VIEWS[view] ? [view, decodeURIComponent(rest.join("/"))] : ["overview", ""];
};

function Login({ wrong, onToken }) {
  const enter = event => {
    event.preventDefault();
    onToken(new FormData(event.target).get("token"));
  };
  return html`
    <main class="login"><form onSubmit=${enter}>
      <label for="token">Management token</label>
      <input id="token" name="token" type="password" autocomplete="current-password" required autofocus />
      <button class="primary">Show</button>
      <p class="problem" role="alert">${wrong && "That token is not the right one."}</p>
      <p class="soft">It is <code>manage.token</code> in rules.yaml, or the variable <code>ASKONCE_TOKEN</code>.</p>
    </form></main>`;
}

function App() {
  const [[view, detail], setPlace] = useState(place);
  const [lock, setLock] = useState("");
  useEffect(() => {
    const go = () => setPlace(place());
    addEventListener("hashchange", go);
    return () => removeEventListener("hashchange", go);
  }, []);
  useEffect(() => onLocked(() => {
    const why = hasToken() ? "wrong" : "locked";
    setLock(before => before || why);  // one token, several questions: the first that was refused tells
    useToken("");
  }), []);
  useEffect(() => { document.title = `${VIEWS[view][0]} · Askonce`; }, [view]);
  const View = VIEWS[view][1];
  return html`
    <header><a class="mark" href="#/overview">Askonce</a>
      ${!lock && html`<nav aria-label="Views">${Object.entries(VIEWS).map(([name, [title]]) => html`
        <a href=${`#/${name}`} aria-current=${name === view ? "page" : undefined}>${title}</a>`)}</nav>`}
      <a class="api" href="docs">API</a></header>
    ${lock ? html`<${Login} wrong=${lock === "wrong"} onToken=${text => { useToken(text); setLock(""); }} />`
      : html`<main><${View} detail=${detail} open=${to => { location.hash = to ? `#/${view}/${encodeURIComponent(to)}` : `#/${view}`; }} /></main>`}`;
}

render(html`<${App} />`, document.body);
