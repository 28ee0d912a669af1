"""The page for people, in a real Chromium: each view, each action, and what a hostile prompt could do there.

One browser and one proxy serve all of these tests; each test has a window of its own.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.waiting import PATIENCE, until

from askonce.api.calls import RecentCall, RecentCalls

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request
    from tests.e2e.conftest import Provider, Proxy, StartProxy

logger = logging.getLogger(__name__)

PICTURES = Path(__file__).parents[2] / "docs" / "img"
TOKEN = "a token for the page"
MANAGING = {"authorization": f"Bearer {TOKEN}"}
REVIEWED = """\
  - name: reviewed
    hosts: [api.openai.com]
    paths: [/v1/chat/completions]
    wire: openai-chat
    when: {X-Review: "yes"}
    approve: true
"""
URL = "https://api.openai.com/v1/chat/completions"
CAPITAL, REWORDED = "What is the capital of France?", "What's the capital of France?"
MILES, KILOMETRES = "How do I convert 10 miles to kilometres?", "How do I convert 10 kilometres to miles?"
SKY = "Why is the sky blue?"
OTHERS = (
    "Is the Earth older than the Moon?",
    "Is the Moon older than the Earth?",
    "Explain how photosynthesis works.",
    "Which planets have rings?",
    "How do I boil an egg?",
    "Who wrote Faust?",
)
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
VIEWS = ("overview", "calls", "answers", "approvals", "decisions", "rules", "health")
MARK = "window.marked = 1"
REVIEW = ("Is the capital of Chile Santiago?", "Is the capital of Peru Lima?")
HOSTILE = [
    f"<script>{MARK}</script>",
    f"<img src=x onerror='{MARK}'>",
    f"<svg onload='{MARK}'>",
    f"<details open ontoggle='{MARK}'>",
    f"\"><a href='javascript:{MARK}'>here</a>",
    f"</textarea></pre></title></style></script><script>{MARK}</script>",
    f"<iframe srcdoc='<script>parent.{MARK}</script>'></iframe>",
    "<style>body { display: none }</style><base href='//elsewhere.example/'><meta http-equiv=refresh content=0>",
    f"${{{MARK}}} {{{{constructor.constructor('{MARK}')()}}}} `{MARK}`",
    f"<form action='/v1/cache' method=post><button autofocus onfocus='{MARK}'>go</button></form>",
    "\u202egnp.exe \u2028 \ufeff <b>bold?</b> &lt;i&gt; %3Cscript%3E __proto__ constructor",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = os.environ.get("ASKONCE_TEST_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shown(start_module_proxy: StartProxy) -> Proxy:
    proxy = start_module_proxy(environment={"ASKONCE_TOKEN": TOKEN})
    rules = proxy.rules.read_text("utf-8")
    proxy.rules.write_text(rules.replace("\nupstreams:\n", f"\nupstreams:\n{REVIEWED}", 1), "utf-8")
    reload = httpx.post(f"{proxy.url}/v1/reload", headers=MANAGING, trust_env=False)
    reload.raise_for_status()
    with calling(proxy) as app:
        for prompt in REVIEW:
            say(proxy, app, prompt, headers={"x-review": "yes"})
        for prompt in (*HOSTILE, *OTHERS, CAPITAL, CAPITAL, REWORDED, MILES, KILOMETRES):
            say(proxy, app, prompt)
        say(proxy, app, SKY, seed=1)
        say(proxy, app, SKY, seed=2)
        say(proxy, app, SKY, headers={"cache-control": "no-store"})
    return proxy


def calling(proxy: Proxy) -> httpx.Client:
    trusting = ssl.create_default_context(cafile=str(proxy.bundle))
    return httpx.Client(proxy=proxy.url, verify=trusting, headers={"authorization": "Bearer sk-page"}, timeout=PATIENCE)


def say(proxy: Proxy, app: httpx.Client, prompt: str, headers: dict[str, str] | None = None, **more: Any) -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], **more}
    told = app.post(URL, json=body, headers=headers).raise_for_status().headers["cache-status"]
    proxy.settle()
    return told


@pytest.fixture
def app(shown: Proxy, provider: Provider) -> Iterator[httpx.Client]:
    with calling(shown) as app:
        yield app


type Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, shown: Proxy) -> Iterator[Open]:
    """open_page("calls", width=390) -> a window that shows a view; it fails the test for every error in the console."""
    complaints, windows = list[str](), []

    def open_page(view: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB"
        )
        windows.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
        page.add_init_script(f"sessionStorage.setItem('token', {TOKEN!r})")  # where the page itself keeps it
        page.goto(f"{shown.url}/#/{view}")
        page.wait_for_selector("h1")
        return page

    yield open_page
    for context in windows:
        context.close()
    assert complaints == []


def is_complaint(said: ConsoleMessage) -> bool:
    """What the browser says of a status that is no success is for the page to deal with."""
    return said.type in ("error", "warning") and not said.text.startswith("Failed to load resource")


def rows(page: Page) -> list[str]:
    """The calls in sight, as text."""
    return page.locator(".list .body [role=row]").all_inner_texts()


def open_call(page: Page, prompt: str, kind: str) -> str:
    """Open the first call of that kind with that prompt; all that is said of it."""
    page.get_by_label("Filter by words").fill(prompt)
    page.get_by_label("Decision").select_option(kind)
    page.locator(".list .body [role=row]").first.click()
    page.wait_for_selector(".drawer .why:not(:empty)")
    return page.locator(".drawer").inner_text()


def test_it_asks_for_the_token_and_tells_a_wrong_one(browser: Browser, shown: Proxy) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(shown.url)
    page.fill("#token", "wrong")
    page.keyboard.press("Enter")
    page.get_by_text("That token is not the right one.").wait_for()
    assert page.get_by_role("navigation").count() == 0
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()
    page.context.close()


def test_the_overview_has_the_figures(open_page: Open, shown: Proxy) -> None:
    page, stats = open_page("overview"), shown.get("/v1/stats")
    page.wait_for_selector("[data-figure=calls]")
    exact, semantic = stats["outcomes"]["exact"], stats["outcomes"]["semantic"]
    assert page.locator("[data-figure=hits]").inner_text() == f"{exact + semantic}\n{exact} exact, {semantic} reworded"
    assert page.locator("[data-figure=calls]").inner_text().startswith(f"{stats['calls']}\n")
    assert "gpt-4o-mini" in page.get_by_label("By model").inner_text()
    assert "openai-chat" in page.get_by_label("By rule").inner_text()


def test_the_overview_is_narrowed_to_a_caller(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    before = shown.get("/v1/history")["callers"]
    say(shown, app, "Who is somebody else?", headers={"authorization": "Bearer sk-somebody-else"})
    (digest,) = shown.get("/v1/history")["callers"].keys() - before.keys()
    page = open_page("overview")
    page.get_by_label("By caller").get_by_role("button", name=digest).click()
    page.get_by_role("button", name="Not only caller").wait_for()
    until(lambda: page.locator("[data-figure=calls]").inner_text().startswith("1\n"))


def test_calls_come_live_and_are_filtered(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    page = open_page("calls")
    page.wait_for_selector(".list .body [role=row]")
    say(shown, app, "Which river runs through Vienna?")
    page.get_by_text("Which river runs through Vienna?").wait_for()
    page.get_by_label("Filter by words").fill("CAPITAL france")
    assert [text.splitlines()[1] for text in rows(page)] == ["semantic", "exact", "miss"]
    page.get_by_label("Decision").select_option("semantic")
    assert len(rows(page)) == 1
    page.get_by_label("Filter by words").fill("")
    page.get_by_label("Decision").select_option("bypass")
    assert "not kept" in rows(page)[0]
    page.get_by_label("Decision").select_option("near miss")
    assert any(KILOMETRES in text for text in rows(page))


def test_a_call_opens_to_why(open_page: Open) -> None:
    page = open_page("calls")
    semantic = open_call(page, REWORDED, "semantic")
    assert re.search(r"answered: taken for the same question", semantic)
    assert "Paris" in semantic and CAPITAL in semantic and "Probability of being right" in semantic
    assert [text.strip() for text in page.locator(".drawer mark").all_inner_texts()] == ["What's", "What is"]
    page.keyboard.press("Escape")
    page.wait_for_selector(".drawer", state="detached")
    refused = open_call(page, KILOMETRES, "near miss")
    assert MILES in refused and "Reason" in refused and "Provider took" in refused and "6.21 miles" in refused
    page.keyboard.press("Escape")
    apart = open_call(page, SKY, "miss")
    assert "$['seed']\t1\t2" in apart


def test_a_hit_that_is_said_to_be_wrong_is_not_given_again(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    asked, again = "What is the tallest mountain in Africa?", "What's the tallest mountain in Africa?"
    assert "stored" in say(shown, app, asked)
    assert "detail=semantic" in say(shown, app, again)
    page = open_page("calls")
    open_call(page, again, "semantic")
    page.get_by_role("button", name="Right").click()
    page.get_by_text("Noted: this hit was right.").wait_for()
    page.get_by_role("button", name="Wrong").click()
    page.get_by_text("never answered so again").wait_for()
    assert "fwd=miss" in say(shown, app, again)
    page = open_page("decisions")
    page.wait_for_selector("[data-figure=refused]")
    assert page.locator("[data-figure=refused]").inner_text().startswith("1\n")
    assert page.locator("[data-figure=feedback]").inner_text().endswith("1 right, 1 wrong")
    assert asked in page.get_by_label("Hits that were wrong").inner_text()
    assert page.get_by_label("Reliability").locator("meter").count() > 0
    assert "openai-chat" in page.get_by_label("Evidence by partition").inner_text()


def test_answers_are_found_shown_and_deleted(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    lost = "How tall is the Eiffel Tower?"
    say(shown, app, lost)
    page = open_page("answers")
    page.get_by_label("Find", exact=True).fill("eiffel tower")
    page.keyboard.press("Enter")
    page.get_by_text("1–1 of 1 answer").wait_for()
    page.get_by_label("Find", exact=True).fill("the French capital city")
    page.get_by_label("Find by").select_option("meaning")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("nearest first").wait_for()
    assert "capital of France?" in page.locator("tbody tr").first.inner_text()
    page.get_by_role("link", name=CAPITAL, exact=True).click()
    page.get_by_text("Stored answer").wait_for()
    page.get_by_text("The capital of France is Paris.").first.wait_for()
    page.get_by_role("button", name="was right").click()
    page.get_by_text("Noted: that hit was right.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_label("Find by").select_option("words")
    page.get_by_label("Find", exact=True).fill(lost)
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name=lost).click()
    delete(page, "Cancel", "Delete…")
    assert shown.get("/v1/cache?prompt=Eiffel")["count"] == 1
    delete(page, "Delete", "Delete…")
    page.get_by_text("Nothing like that is kept.").wait_for()
    assert shown.get("/v1/cache?prompt=Eiffel")["count"] == 0


def delete(page: Page, choice: str, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).last.click()
    page.get_by_role("dialog").get_by_role("button", name=choice, exact=True).click()
    page.get_by_role("dialog").wait_for(state="hidden")


def test_answers_are_turned_over_and_deleted_together(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    say(shown, app, "Name a colour.", headers={"x-cache-namespace": "pages"})
    key = shown.get("/v1/cache?namespace=pages")["keys"][0]
    entries = [{"prompt": f"Name colour {at}.", "response": f"Colour {at}"} for at in range(59)]
    authorization = {"authorization": f"Bearer {TOKEN}"}
    httpx.post(f"{shown.url}/v1/warm", json={"like": key, "entries": entries}, headers=authorization, trust_env=False)
    page = open_page("answers")
    page.get_by_label("Namespace").fill("pages")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("1–50 of 60 answers").wait_for()
    page.get_by_role("button", name="Older").click()
    page.get_by_text("51–60 of 60 answers").wait_for()
    others = shown.get("/v1/cache")["count"] - 60
    delete(page, "Delete", "Delete these…")
    page.get_by_text("Nothing like that is kept.").wait_for()
    assert shown.get("/v1/cache")["count"] == others


def test_answers_are_approved_and_rejected(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    good, bad = "How many moons has Mars?", "How many moons has Venus?"
    reviewed = {"x-review": "yes"}
    hostile = HOSTILE[1]
    for prompt in (good, bad, hostile):
        assert say(shown, app, prompt, headers=reviewed) == "askonce; fwd=miss; stored; detail=awaiting-approval"
    page = open_page("approvals")
    page.get_by_text("Of reviewed:").wait_for()
    assert hostile in page.locator("article pre").all_inner_texts()
    page.get_by_role("article", name=good).get_by_role("button", name="Approve").click()
    page.get_by_text("Approved: it is served from now on.").wait_for()
    page.get_by_role("article", name=good).wait_for(state="detached")
    rejecting = page.get_by_role("article", name=bad)
    for choice in ("Cancel", "Reject"):
        rejecting.get_by_role("button", name="Reject…").click()
        rejecting.get_by_role("dialog").get_by_role("button", name=choice, exact=True).click()
    page.get_by_text("Rejected: it is not served.").wait_for()
    assert "; hit;" in say(shown, app, good, headers=reviewed)
    assert say(shown, app, bad, headers=reviewed) == "askonce; fwd=miss; detail=rejected"
    page.get_by_label("Which").select_option("approved")
    page.get_by_role("article", name=good).get_by_role("link", name="all of it").wait_for()
    page.get_by_label("Which").select_option("rejected")
    page.get_by_role("article", name=bad).get_by_role("button", name="Approve").click()
    page.get_by_text("Nothing is rejected.").wait_for()
    assert "; hit;" in say(shown, app, bad, headers=reviewed)
    assert page.evaluate("window.marked") is None


def test_what_changed_meanwhile_is_not_approved(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    asked = "How many moons has Saturn?"
    say(shown, app, asked, headers={"x-review": "yes"})
    page = open_page("approvals")
    page.get_by_role("article", name=asked).wait_for()
    httpx.delete(f"{shown.url}/v1/cache?prompt=Saturn", headers=MANAGING, trust_env=False).raise_for_status()
    page.get_by_role("article", name=asked).get_by_role("button", name="Approve").click()
    page.get_by_text("Entry not found").wait_for()
    page.get_by_role("article", name=asked).wait_for(state="detached")


def test_answers_are_deleted_by_what_they_depend_on(open_page: Open, shown: Proxy, app: httpx.Client) -> None:
    for document in ("doc:17", "doc:18"):
        say(shown, app, f"What does {document} say?", headers={"x-askonce-depends": document})
    page = open_page("answers")
    page.get_by_label("Depends on").fill("doc:17")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("1–1 of 1 answer").wait_for()
    delete(page, "Delete", "Delete these…")
    page.get_by_text("Nothing like that is kept.").wait_for()
    assert [shown.get(f"/v1/cache?depends=doc:{number}")["count"] for number in (17, 18)] == [0, 1]


def test_rules_are_explained_checked_and_read_again(open_page: Open, shown: Proxy) -> None:
    page = open_page("rules")
    page.get_by_label("URL").fill(URL)
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("openai-chat takes it").wait_for()
    page.get_by_label("URL").fill("ftp://nowhere")
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("expected a URL such as").wait_for()
    good = shown.rules.read_text("utf-8")
    try:
        shown.rules.write_text(good.replace("match: semantic", "match: guessed", 1), "utf-8")
        page.get_by_role("button", name="Read the file again…").click()
        page.get_by_role("button", name="Read it").click()
        page.get_by_role("dialog").get_by_text(re.compile(r"rules\.yaml:\d+: .*match")).wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("The file cannot be used as it is").wait_for()
        assert re.search(r"rules\.yaml:\d+: ", page.locator(".mistakes pre").inner_text())
    finally:
        shown.rules.write_text(good, "utf-8")
    page.get_by_role("button", name="Read the file again…").click()
    page.get_by_role("button", name="Read it").click()
    page.locator(".mistakes").wait_for(state="detached")
    page.get_by_label("Rules", exact=True).get_by_text("anthropic").first.wait_for()


def test_health_tells_each_part(open_page: Open) -> None:
    page = open_page("health")
    page.get_by_label("Checks").wait_for()
    told = page.get_by_label("Checks").locator("tbody tr").all_inner_texts()
    states = {row.split("\t")[1]: row.split("\t")[0] for row in told}
    assert {"proxy", "store", "disk", "embedder", "judge", "certificate", "faults"} <= states.keys()
    assert states["store"] == states["proxy"] == states["certificate"] == "ok"


def test_the_keyboard_is_enough(open_page: Open) -> None:
    page = open_page("calls")
    page.locator(".list .body [role=row]").first.focus()
    page.keyboard.press("ArrowDown")
    page.locator("[aria-rowindex='2']:focus").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_selector(".drawer")
    page.keyboard.press("Escape")
    page.wait_for_selector(".drawer", state="detached")
    page.locator("[aria-rowindex='2']:focus").wait_for()


@pytest.mark.parametrize("view", VIEWS)
def test_it_fits_a_phone(view: str, open_page: Open) -> None:
    page = open_page(view, width=360, height=740)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_it_is_light_or_dark_as_the_system_is(open_page: Open) -> None:
    papers = [
        open_page("overview", dark=dark).evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    assert papers == ["rgb(255, 255, 255)", "rgb(17, 22, 27)"]


def test_nothing_in_a_prompt_runs(open_page: Open, shown: Proxy) -> None:
    """`open_page` fails the test for what the policy had to stop, too: such a thing is said in the console."""
    page = open_page("calls")
    numbers = {call["prompt"]: call["number"] for call in shown.get("/v1/calls?limit=2000")["calls"]}
    for prompt in HOSTILE:
        page.goto(f"{shown.url}/#/calls/{numbers[prompt]}")
        page.wait_for_selector(".drawer .why:not(:empty)")
        assert prompt[:20] in page.locator(".drawer").text_content()
        key = shown.get(f"/v1/why?call={numbers[prompt]}")["call"]["key"]
        page.goto(f"{shown.url}/#/answers/{key}")
        page.wait_for_selector(".drawer figure")
        assert page.locator(".drawer figure pre").first.text_content() == prompt
    assert page.evaluate("window.marked") is None
    assert (
        page.evaluate("document.querySelectorAll('main img, main iframe, main svg, main script, main style').length")
        == 0
    )


def test_a_hundred_thousand_calls_do_not_freeze_it(open_page: Open, shown: Proxy) -> None:
    """What is in the document does not grow with them, and at no time is the page busy for long at a stretch: not for a
    quarter of what all of it takes, however slow the machine."""
    count, since = 100_000, shown.get("/v1/calls?limit=1")["since"]
    page = open_page("overview")
    page.route(re.compile(r"/v1/calls\?"), lambda route, request: route.fulfill(json=many(request, count, since)))
    page.evaluate(WATCH)
    page.goto(f"{shown.url}/#/calls")
    page.get_by_text("100,000 calls").wait_for()
    in_document = page.locator(".list .body [role=row]").count()
    page.evaluate("document.querySelector('.list .body').scrollTop = 1e9")
    page.get_by_text("Question number 1.", exact=True).wait_for()
    page.get_by_label("Filter by words").fill("number 77777")
    page.get_by_text("1 of 100,000").wait_for()
    longest, whole = page.evaluate("[window.longest, performance.now() - window.began]")
    logger.info("busy for %d ms at a stretch, of %d ms", longest, whole)
    assert in_document < 100
    assert longest < whole / 4, f"busy for {longest:.0f} ms at a stretch, of {whole:.0f} ms"


WATCH = """() => {
    window.longest = 0;
    let before = window.began = performance.now();
    const beat = () => {
        const now = performance.now();
        window.longest = Math.max(window.longest, now - before);
        before = now;
        setTimeout(beat, 0);
    };
    beat();
}"""
"""How long the page's own thread was busy at a stretch, at most, in milliseconds."""


def many(request: Request, count: int, since: str) -> Any:
    after = int(re.findall(r"after=(\d+)", request.url)[0])
    numbers = range(after + 1, min(after + 2000, count) + 1)
    return RecentCalls(since=since, last=count, calls=[made_up(number) for number in numbers]).model_dump(mode="json")


def made_up(number: int) -> RecentCall:
    return RecentCall(
        number=number,
        time="2026-01-19T12:00:00Z",
        outcome="exact" if number % 3 else "miss",
        detail="" if number % 3 else "no entry",
        upstream="openai-chat",
        model="gpt-4o-mini",
        namespace="",
        prompt=f"Question number {number}.",
        status=200,
        seconds=0.001,
        decision_seconds=0.0005,
        seconds_saved=0.8,
        usd_saved=0.0001,
        input_tokens=14,
        output_tokens=8,
        similarity=None,
        probability=None,
        asked=f"{number:032x}",
        key=f"{number:032x}",
        nearest="",
        decision="",
        watched="",
        stored=False,
        unkept="",
    )


def test_pictures(open_page: Open, shown: Proxy, request: pytest.FixtureRequest) -> None:
    """`--pictures` makes those of the documentation anew."""
    if not request.config.option.pictures:
        pytest.skip("only where the pictures are to be made anew (--pictures)")
    picture(open_page("overview"), "page-overview")
    page = open_page("calls")
    open_call(page, KILOMETRES, "near miss")
    picture(page, "page-call")
    picture(open_page("calls", dark=True), "page-calls")
    picture(open_page("calls", width=390, height=700), "page-calls-phone")
    for view in ("answers", "approvals", "decisions", "rules", "health"):
        picture(open_page(view), f"page-{view}")


def picture(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=PICTURES / f"{name}.png")
