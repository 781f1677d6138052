"""The page of model.serve in a real browser, as a film lover, a keyboard, a screen reader and an attacker use it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from .serving import program

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FOUR = ("blade runner", "amelie", "heat 1995", "alien")
EVIL = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>\x07 ‮שלום 🎬'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a running server, with its first token."""
    with program(tmp_path_factory.mktemp("serve") / "serve.sqlite", "--rate", "1000") as (_, url, token):
        yield f"{url}#token={token}"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A person at the page; `errors` collects what must not happen."""

    def __init__(self, browser, server, width=1440, height=900, scheme="light", **more):
        self.address, _, self.token = server.partition("#token=")
        size = {"width": width, "height": height}
        self.context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce", **more)
        self.page, self.errors, self.forgiven = self.context.new_page(), [], "nothing"
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda one: one.url.startswith((self.address, "blob:")) or self.errors.append(one.url))

    def come(self):
        self.page.goto(f"{self.address}#token={self.token}")
        self.page.wait_for_selector("#map:not([hidden])")
        return self

    def pick(self, *titles):
        for title in titles:
            n = self.page.locator("#picks li").count()
            self.page.get_by_label("Movies you love").fill(title)
            self.page.wait_for_selector("#pick[aria-expanded=true]")
            self.page.press("#pick", "Enter")
            self.page.wait_for_selector(f"#picks li:nth-child({n + 1})")

    def start(self, *titles):
        self.pick(*titles)
        self.page.click("#start button[type=submit]")
        self.page.wait_for_selector("#view-movies:not([hidden])")
        self.settled()

    def settled(self):
        self.page.wait_for_selector("#movie:not([aria-busy])")

    def press(self, key):
        self.page.keyboard.press(key)
        self.settled()

    def text(self, selector):
        return self.page.inner_text(selector)

    def axe(self):
        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        found = axe.Axe().run(self.page).response["violations"]
        return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]

    def enter(self, selector, text):
        self.page.fill(selector, text)
        self.page.press(selector, "Enter")

    def look(self):
        """Check that nothing hinders a screen reader, and nothing is wider than the screen."""
        assert self.axe() == []
        assert self.fits()

    def wait(self, selector, text):
        self.page.locator(selector, has_text=text).wait_for(state="attached")

    def fits(self):
        return self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def visit(browser, server):
    made = []

    def begin(**more):
        made.append(Visit(browser, server, **more))
        return made[-1]

    yield begin
    for one in made:
        one.context.close()
        assert [error for error in one.errors if one.forgiven not in error] == []


def begun(visit, *titles):
    one = visit().come()
    one.start(*titles)
    return one, one.page


def test_a_whole_visit(visit):
    one, page = begun(visit, *FOUR)
    assert page.locator("#favorites li").count() == 4
    shown = [one.text("#movie-title")]
    for key in "lnwskllwln":
        one.press(key)
        shown.append(one.text("#movie-title"))
    assert len(set(shown)) == 11
    assert one.text("#n-answers") == "10"
    said = "not for me, liked, want to see, liked, liked, skipped, seen, want to see, not for me, liked"
    assert [text.strip() for text in page.locator("#history span").all_text_contents()] == said.split(", ")
    one.press("u")
    assert one.text("#movie-title") == shown[9]
    assert one.text("#n-answers") == "9"

    one.press("y")
    values = [float(text.replace("−", "-")) for text in page.locator(".because .value").all_inner_texts()]
    assert len(values) > 6
    assert sum(values[:-1]) == pytest.approx(values[-1], abs=0.005 * len(values))
    bars = page.eval_on_selector_all(".track i", "all => all.map(e => [e.offsetLeft, e.offsetWidth])")
    zero, point = page.eval_on_selector(".track b", "e => e.offsetLeft"), bars[-1][1] / abs(values[-1])
    for i, (left, width) in enumerate(bars[:-1]):  # each begins where the one above has ended
        ends = sum(values[:i]), sum(values[: i + 1])
        assert (left - zero) / point == pytest.approx(min(ends), abs=0.1)
        assert width / point == pytest.approx(abs(values[i]), abs=0.1)

    one.enter("#words", "something slow and French")
    page.wait_for_selector("#told li")
    one.settled()
    assert "French" in one.text("#facts")
    assert "something slow and French" in one.text("#because")
    page.locator("#dial").press("End")
    one.settled()
    assert "everybody" in page.get_attribute("#dial", "aria-valuetext")
    page.click("#filters summary")
    page.locator("#only label", has_text="Drama").click()
    one.settled()
    assert "only Drama" in one.text("#filter-now")
    assert "Drama" in one.text("#facts")
    one.enter("#year-from", "1990")
    one.wait("#filter-now", "from 1990")
    assert int(one.text("#movie-title small")) >= 1990

    page.click("nav >> text=Watchlist")
    assert page.locator("#watchlist li").count() == 2
    with page.expect_download() as got:
        page.click("#download")
    lines = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_text(encoding="utf-8"))))
    assert {f"{line['Title']} ({line['Year']})" for line in lines} == set(
        page.locator("#watchlist b").all_inner_texts()
    )
    assert all(line["imdbID"].startswith("tt") for line in lines)

    movie = page.locator("#watchlist b").first.inner_text()
    page.get_by_role("button", name=f"Take it off: {movie}").click()
    page.wait_for_selector("#watchlist li:nth-child(2)", state="detached")
    assert movie not in one.text("#watchlist")
    assert one.text("#n-later") == "1"

    page.click("nav >> text=Movies")
    page.wait_for_selector("#view-movies:not([hidden])")  # what is hidden has no line ends
    before = {what: one.text(what) for what in ("#movie-title", "#n-answers", "#favorites", "#filter-now", "#told")}
    page.reload()
    page.wait_for_selector("#view-movies:not([hidden])")
    page.wait_for_selector("#map:not([hidden])")
    assert {what: one.text(what) for what in before} == before
    one.press("l")
    assert one.text("#movie-title") != before["#movie-title"]


def test_favorites_come_and_go_and_a_new_start_asks_first(visit):
    one, page = begun(visit, "heat 1995", "alien")
    page.fill("#more", "amelie")
    page.wait_for_selector("#more[aria-expanded=true]")
    page.press("#more", "Enter")
    page.wait_for_selector("#favorites li:nth-child(3)")
    page.click("#favorites li:first-child button")
    page.wait_for_selector("#favorites li:nth-child(3)", state="detached")
    assert "Heat" not in one.text("#favorites")
    page.click("#anew")
    page.click("dialog >> text=Keep them")
    assert page.is_visible("#view-movies")
    page.click("#anew")
    page.click("#sure button.main")
    page.wait_for_selector("#view-start:not([hidden])")
    page.reload()
    page.wait_for_selector("#view-start:not([hidden])")
    page.fill("#wish", "a heist in space")  # words alone start too
    one.start()
    assert one.text("#told") == "a heist in space"


def test_an_export_is_shown_before_it_is_used(visit, tmp_path):
    one = visit().come()
    page = one.page
    file = tmp_path / "notes.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    page.set_input_files("#file", str(file))
    one.wait("#trouble", "notes.csv")  # refused in words
    one.forgiven = "Failed to load resource"
    file = tmp_path / "letterboxd.zip"
    with zipfile.ZipFile(file, "w") as packed:
        rated = "Date,Name,Year,Letterboxd URI,Rating\n2024-05-01,Heat,1995,https://boxd.it/1,5\n"
        packed.writestr("ratings.csv", rated + "2024-05-02,Alien,1979,https://boxd.it/2,4.5\n")
        packed.writestr(
            "watched.csv", "Date,Name,Year,Letterboxd URI\n2024-05-03,No Such Film <b>,1950,https://boxd.it/3\n"
        )
    page.set_input_files("#file", str(file))
    page.wait_for_selector("#preview button")
    page.locator("#preview summary").first.click()
    assert "Heat (1995): liked" in one.text("#preview")
    page.locator("#preview summary", has_text="Not in this catalogue").click()
    assert "No Such Film <b> (1950)" in one.text("#preview")
    assert "null" not in one.text("#preview")
    page.click("#preview button")
    page.wait_for_selector("#view-movies:not([hidden])")
    said = one.text("#favorites")
    assert "Heat (1995)" in said
    assert "Alien (1979)" in said
    one.settled()
    page.click("#anew")
    page.click("#sure-all")
    page.wait_for_selector("#view-start:not([hidden])")
    assert page.evaluate("localStorage.getItem('tastevec.user')") is None


def test_a_conversation(visit):
    one, page = begun(visit, "heat 1995")
    page.click("nav >> text=Chat")
    one.enter("#message", "I loved Alien, something funny")
    page.wait_for_selector(".suggestions li:nth-child(5)")
    page.locator(".suggestions button").first.click()
    page.wait_for_selector(".suggestions small")
    title = page.locator(".suggestions b").first.inner_text()
    one.enter("#message", "why the first?")
    page.wait_for_selector("#log > div:nth-child(4)")
    said = one.text("#log")
    page.reload()
    page.wait_for_selector("#log > div:nth-child(4)")
    assert one.text("#log") == said
    page.click("nav >> text=Movies")
    assert title in one.text("#favorites")


def test_years_that_are_refused_are_not_shown_as_if_they_held(visit):
    one, page = begun(visit, "heat 1995")
    page.click("#filters summary")
    one.enter("#year-from", "2015")
    one.wait("#filter-now", "from 2015")
    one.settled()
    one.enter("#year-to", "1950")
    page.wait_for_selector("#trouble:not(:empty)")
    one.settled()
    assert (page.input_value("#year-from"), page.input_value("#year-to")) == ("2015", "")
    one.enter("#year-from", "19")
    one.wait("#trouble", "four digits")
    assert page.input_value("#year-from") == "2015"
    assert one.text("#filter-now") == "from 2015"
    one.forgiven = "409"


def test_the_chat_knows_the_session_beside_it(visit):
    one, page = begun(visit, "men in black 1997", "ghostbusters 1984")
    refused = re.sub(r" (\d{4})$", r" (\1)", one.text("#movie-title"))
    one.press("n")
    page.click("nav >> text=Chat")
    one.enter("#message", "I loved Alien, but funnier")
    page.wait_for_selector(".suggestions li:nth-child(5)")
    shown = page.locator(".suggestions b").all_inner_texts()
    assert not {"Men in Black (1997)", "Ghostbusters (1984)", refused} & set(shown)
    page.click("#anew")
    page.click("#sure button.main")
    page.wait_for_selector("#view-start:not([hidden])")
    one.start("heat 1995")
    assert "Ghostbusters" not in one.text("#favorites")
    assert not page.is_visible("#past")


def test_quick_changes_end_where_the_person_left_them(visit):
    one, page = begun(visit, "heat 1995")
    dial = page.locator("#dial")
    first = float(dial.input_value())

    def slow(route):
        page.wait_for_timeout(200)
        route.continue_()

    page.route("**/sessions/*", slow)
    dial.evaluate(
        """(dial, end) => {
        for (let i = 1; i <= 3; i++) {
            dial.value = end - 0.1 * i;
            dial.dispatchEvent(new Event("change", {bubbles: true}));
        }
    }""",
        first,
    )
    page.evaluate("""() => {
        for (const name of ["Drama", "Comedy"]) document.querySelector(`#only [value=${name}]`).click();
    }""")
    one.wait("#filter-now", "Comedy, Drama")
    one.settled()
    page.unroute("**/sessions/*")
    page.reload()
    page.wait_for_selector("#map:not([hidden])")
    one.settled()
    assert float(dial.input_value()) == pytest.approx(first - 0.3)
    assert set(page.eval_on_selector_all("#only :checked", "all => all.map(e => e.value)")) == {"Drama", "Comedy"}


def test_by_keyboard_alone(visit):
    one = visit().come()
    page = one.page

    def tab_to(selector):
        for _ in range(60):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"no Tab leads to {selector}")

    tab_to("#pick")
    for title in ("heat", "alien"):
        page.keyboard.type(title)
        page.wait_for_selector("#pick[aria-expanded=true]")
        chosen = page.get_attribute("#pick", "aria-activedescendant")
        page.keyboard.press("ArrowDown")
        assert page.get_attribute("#pick", "aria-activedescendant") != chosen
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
    page.wait_for_selector("#picks li:nth-child(2)")
    tab_to("#start button[type=submit]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#view-movies:not([hidden])")
    one.settled()
    before = one.text("#movie-title")
    tab_to("[data-answer=like]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#past:not([hidden])")
    one.settled()
    assert page.evaluate("document.activeElement.dataset.answer") == "like"  # the focus stays where it was
    one.wait("#said", "Next: ")
    assert before.rsplit(" ", 1)[0] in one.text("#said")
    tab_to("#why")
    page.keyboard.press("Space")
    page.wait_for_selector(".because")
    assert page.get_attribute("#why", "aria-expanded") == "true"
    tab_to("#words")
    page.keyboard.type("lunch")  # letters of a text are no answers
    assert one.text("#n-answers") == "1"
    tab_to("#canvas")
    pointed = []
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
        box = page.locator("#tip").bounding_box()
        pointed.append((one.text("#tip"), box["x"] + box["width"] / 2))
    assert len({title for title, _ in pointed}) == 4
    assert pointed[0][1] < pointed[1][1] > pointed[3][1] + 50
    one.wait("#said", pointed[-1][0])
    tab_to("#keys")
    assert not page.is_visible("#tip")
    page.keyboard.press("Space")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("l")
    one.settled()
    assert one.text("#n-answers") == "1"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1440, "light"), (1440, "dark")])
def test_every_view_is_accessible_and_fits(visit, width, scheme):
    one = visit(width=width, height=800, scheme=scheme)
    page = one.page
    page.goto(one.address)
    page.wait_for_selector("#view-key:not([hidden])")
    one.look()
    assert "--new-token" in one.text("#view-key")
    one.come()
    one.pick("heat 1995")
    page.fill("#pick", "alien")
    page.wait_for_selector("#pick[aria-expanded=true]")
    one.look()
    page.press("#pick", "Escape")
    one.start()
    for key in "lnwsk":
        one.press(key)
    one.press("y")
    for summary in page.locator("#view-movies summary").all():
        summary.click()
    one.look()
    page.click("#anew")
    one.look()
    page.keyboard.press("Escape")
    page.click("nav >> text=Watchlist")
    one.look()
    page.click("nav >> text=Chat")
    one.enter("#message", "a western")
    page.wait_for_selector(".suggestions li")
    one.look()


def test_the_map_says_what_is_under_the_pointer_and_moves_the_person(visit):
    one, page = begun(visit, "heat 1995", "alien")
    drawn = page.evaluate("canvas.toDataURL()")
    assert "region" not in page.text_content("#map")  # a label is the peak of a share: it tells of no one movie
    assert "seen" in page.locator(".legend li").all_inner_texts()
    page.focus("#favorites li:first-child button")
    assert one.text("#tip") == "Heat (1995)"
    spot = page.evaluate("document.querySelector('#tip').style.transform")
    assert "translate" in spot
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert re.search(r"\(\d{4}\)", one.text("#tip"))
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    assert not page.is_visible("#tip")
    place = page.evaluate("localStorage.getItem('tastevec.trail')")
    one.press("l")
    assert page.evaluate("canvas.toDataURL()") != drawn
    trail = json.loads(page.evaluate("localStorage.getItem('tastevec.trail')"))
    assert len(trail) == 2
    assert trail[:1] == json.loads(place)


def test_hostile_text_is_text(visit):
    one = visit()
    page = one.page

    def poison(value, key=""):
        if isinstance(value, dict):
            return {name: poison(part, name) for name, part in value.items()}
        if isinstance(value, list):
            return [poison(part, key) for part in value]
        plain = ("session_id", "answer", "kind", "tmdb_id", "user_id")
        return EVIL if isinstance(value, str) and key not in plain else value

    def change(route):
        if route.request.resource_type != "fetch":
            return route.continue_()
        answer = route.fetch()
        if "chat/" not in route.request.url:
            return route.fulfill(response=answer, json=poison(answer.json()))
        head, _, data = answer.text().partition("data: ")
        return route.fulfill(response=answer, body=f"{head}data: {json.dumps(poison(json.loads(data)))}\n\n")

    page.route("**/*", change)
    one.come()
    one.start("heat 1995")
    one.press("w")
    one.press("y")
    one.enter("#words", EVIL.replace("\x07", "") + " robots")
    page.wait_for_selector("#told li")
    page.click("#filters summary")
    page.focus("#words")
    page.hover("#favorites li")
    for where in ("#movie-title", "#overview", "#facts", "#people", "#because", "#told", "#favorites", "#only", "#tip"):
        assert "<img src=x" in page.text_content(where), where
    page.click("nav >> text=Watchlist")
    assert "<script>" in page.text_content("#watchlist")
    page.click("nav >> text=Chat")
    one.enter("#message", f"{EVIL} alien".replace("\x07", ""))
    page.wait_for_selector(".suggestions li")
    assert "<img src=x" in page.text_content("#log")
    assert page.locator("img, body script, a[href^='javascript']").count() == 0
    assert page.evaluate("window.evil") is None
    assert one.fits()


def test_a_megabyte_of_text_leaves_the_page_usable(visit):
    one = visit(width=360).come()
    page = one.page

    def change(route):
        answer = route.fetch()
        session = answer.json()
        session["movie"].update(title="W" * 1000, overview="x" * 1_000_000, director="y" * 100_000)
        return route.fulfill(response=answer, json=session)

    page.route("**/sessions*", change)
    one.start("heat 1995")
    assert one.fits()
    page.route("**/sessions/**", lambda route: route.continue_())
    one.press("l")
    assert one.text("#n-answers") == "1"


def test_a_token_is_asked_for_and_that_of_one_person_is_enough(visit):
    one = visit()
    page, owner = one.page, {"Authorization": f"Bearer {one.token}"}
    made = one.context.request.post(f"{one.address}users", data={"user_id": "ana"}, headers=owner).json()
    page.goto(one.address)
    for token, view in (("wrong", "#trouble:not(:empty)"), (made["token"], "#view-start:not([hidden])")):
        assert page.is_visible("#view-key")
        page.fill("#key", token)
        page.click("#key-form button")
        page.wait_for_selector(view)
    assert "token" not in page.url
    page.click("nav >> text=Chat")
    one.enter("#message", "I loved Alien")
    page.wait_for_selector(".suggestions li")
    page.click("nav >> text=Movies")
    one.start()  # what was said in the chat is known
    assert "Alien" in one.text("#favorites")
    one.forgiven = "401"


def test_a_server_that_is_away_and_another_window_lose_nothing(visit):
    one, page = begun(visit, "heat 1995")
    before = one.text("#movie-title")
    page.route("**/answer", lambda route: route.abort())
    one.press("l")
    assert "does not answer" in one.text("#trouble")
    assert one.text("#movie-title") == before
    page.unroute("**/answer")
    one.press("l")
    assert one.text("#trouble") == ""
    assert one.text("#n-answers") == "1"
    other = one.context.new_page()
    other.goto(one.address)
    other.wait_for_selector("#view-movies:not([hidden])")
    other.keyboard.press("l")
    other.locator("#n-answers", has_text="2").wait_for(state="attached")
    one.press("n")  # to a movie that is answered
    page.wait_for_selector("#trouble:not(:empty)")
    assert one.text("#n-answers") == "2"
    assert one.text("#movie-title") == other.inner_text("#movie-title")
    one.forgiven = "Failed to load resource"


def test_the_page_is_small_over_the_wire(visit):
    one = visit()
    sizes = {}
    one.page.on("requestfinished", lambda request: sizes.update({request.url: request.sizes()["responseBodySize"]}))
    one.come()
    one.page.wait_for_timeout(200)
    own = {url: size for url, size in sizes.items() if "map.json" not in url}
    assert {url.rsplit("/", 1)[1].split("#")[0] for url in own} >= {"", "page.css", "page.js"}
    assert sum(own.values()) < 120_000
