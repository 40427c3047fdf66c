"""The page to try a text, in a real browser."""

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.pipeline import TOLERANCE, Ranked
from tests.reliability.service import Model, Service, steady

pytestmark = pytest.mark.reliability

SECONDS = 10.0

ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

MARKUP = "<img src=x onerror='window.ran = true'><script>window.ran = true</script><b>b</b> &lt; &"

# In place of what the server says; of everything else the page asks it.
STUB = """
{
  const replies = %s, real = fetch;
  window.fetch = (path, options) => path in replies
    ? Promise.resolve(new Response(JSON.stringify(replies[path]), { status: 200 }))
    : real(path, options);
}
"""


@dataclass(frozen=True)
class Row:
    """A label as the page shows it; how much of its track the bar takes."""

    label: str
    score: str
    share: float


class Page:
    """A tab with the page of a server."""

    def __init__(self, browser: webdriver.Chrome, server: Service) -> None:
        self.browser = browser
        self.url = "http://{}:{}/".format(*server.address)
        browser.get(self.url)

    def element(self, name: str) -> WebElement:
        """By its id."""
        return self.browser.find_element(By.ID, name)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page."""
        return self.browser.execute_script(script, *arguments)

    def enter(self, text: str, field: str = "text") -> None:
        """Type in the place of what is there."""
        self.element(field).clear()
        self.element(field).send_keys(text)

    def paste(self, text: str) -> None:
        """The same at once: typing takes a while where there is much."""
        self.run("arguments[0].value = arguments[1]", self.element("text"), text)

    def classify(self) -> None:
        """Press the button, and wait for what comes of it."""
        self.browser.find_element(By.TAG_NAME, "button").click()
        self.wait()

    def press(self, *keys: str) -> None:
        """Press keys together, wherever the focus is."""
        self.browser.switch_to.active_element.send_keys(*keys)

    def wait(self) -> None:
        """Wait for the end of what has been asked."""
        WebDriverWait(self.browser, SECONDS, 0.02).until(
            lambda _: self.element("answer").get_attribute("aria-busy") == "false"
        )

    @property
    def error(self) -> str:
        """What is wrong, as it is shown."""
        return self.browser.find_element(By.CSS_SELECTOR, "[role=alert]").text

    @property
    def rows(self) -> list[Row]:
        """The labels as they are shown, from above."""
        items = self.browser.find_elements(By.CSS_SELECTOR, "#answer li")
        return [self._row(item) for item in sorted(items, key=lambda item: item.location["y"])]

    def _row(self, item: WebElement) -> Row:
        label, score = item.text.split("\n")
        track, bar = (item.find_element(By.CLASS_NAME, name).rect for name in ("track", "bar"))
        assert bar["x"] == track["x"] and bar["height"] == track["height"] > 0
        return Row(label, score, round(bar["width"] / track["width"], 2))

    def assert_shows(self, expected: Ranked) -> None:
        """The original's labels in its order, with its scores as per cent and as bars."""
        rows = self.rows
        assert [row.label for row in rows] == expected.labels
        for row, score in zip(rows, expected.scores, strict=True):
            assert row.score.endswith(" %")
            # One digit behind the point is shown.
            assert abs(float(row.score[:-2]) - 100 * score) <= 0.051 + 100 * TOLERANCE
            assert abs(row.share - score) < 0.01
        assert self.error == ""

    def assert_fits(self) -> None:
        """Nothing is wider than the window."""
        sizes = "return [document.documentElement.scrollWidth, document.body.scrollWidth]"
        assert max(self.run(sizes)) <= self.run("return innerWidth")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser, with a profile of its own; these tests are nothing without."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.fail("chromium and chromedriver are not here; make setup-dev installs them")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, Driver(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A tab of its own, and nothing in the logs yet."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    for name in ("browser", "performance"):
        log(chromium, name)
    yield chromium
    chromium.close()
    chromium.switch_to.window(first)


@pytest.fixture
def page(browser: webdriver.Chrome, server: Service) -> Page:
    """The page of the common container."""
    return Page(browser, server)


def stubbed(browser: webdriver.Chrome, server: Service, **replies: object) -> Page:
    """The page, with what the server replies to paths of these names; `__` stands for a dot."""
    named = {name.replace("__", "."): reply for name, reply in replies.items()}
    script = {"source": STUB % json.dumps(named)}
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    return Page(browser, server)


def narrow(browser: webdriver.Chrome) -> None:
    """The window of a phone, narrower than windows on a desktop can be."""
    size = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def log(browser: webdriver.Chrome, name: str) -> list[str]:
    """The messages of a log since it was last read."""
    untyped: Any = browser
    return [entry["message"] for entry in untyped.get_log(name)]


def requested(browser: webdriver.Chrome) -> set[str]:
    """Addresses that were asked for since the test began."""
    events = [json.loads(message)["message"] for message in log(browser, "performance")]
    return {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }


def test_a_typed_text_is_answered_with_the_originals_labels(page: Page, server: Service) -> None:
    for number in (3, 7):
        page.enter(server.model.questions[number])
        page.classify()
        page.assert_shows(server.model.expected[number])


@pytest.mark.parametrize("key", [Keys.CONTROL, Keys.META])
def test_enter_with_another_key_asks_too(page: Page, server: Service, key: str) -> None:
    page.enter(server.model.questions[5])
    page.press(key, Keys.ENTER)
    page.wait()
    page.assert_shows(server.model.expected[5])


def test_enter_alone_begins_a_line(page: Page) -> None:
    page.enter("one")
    page.press(Keys.ENTER)
    page.press("two")
    assert page.element("text").get_property("value") == "one\ntwo"
    assert page.element("answer").get_attribute("aria-busy") is None


def test_the_page_is_named_after_the_model(page: Page, server: Service) -> None:
    page.classify()
    assert page.browser.title == page.element("title").text == server.model.built.model_name


def test_an_error_of_the_server_takes_the_place_of_the_labels(page: Page, server: Service) -> None:
    page.classify()
    assert len(page.rows) == 3
    text = "x" * 131_073
    page.paste(text)
    page.classify()
    assert page.error == server.classify(text=text).json["error"]
    assert page.rows == []
    # And the other way round.
    page.paste(server.model.questions[2])
    page.classify()
    page.assert_shows(server.model.expected[2])


def test_a_body_that_is_too_large_is_refused_with_the_servers_words(page: Page) -> None:
    page.paste("x" * 2_000_001)
    page.classify()
    assert page.error == "the body is too large"
    assert page.rows == []


def test_a_server_that_does_not_answer_is_told(page: Page, server: Service) -> None:
    page.classify()
    page.browser.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        page.classify()
    finally:
        page.browser.delete_network_conditions()
    assert page.error == "the server cannot be reached"
    assert page.rows == []
    page.paste(server.model.questions[1])
    page.classify()
    page.assert_shows(server.model.expected[1])


def assert_inert(page: Page) -> None:
    """No markup has become an element."""
    assert page.run("return document.querySelectorAll('img, b, script').length") == 1
    assert page.run("return window.ran") is None


def test_markup_in_a_text_is_a_text_like_any_other(page: Page, server: Service) -> None:
    page.enter(MARKUP)
    page.classify()
    answer = server.classify(text=MARKUP).json
    page.assert_shows(Ranked([row["label"] for row in answer], [row["score"] for row in answer]))
    assert_inert(page)


def test_markup_in_a_label_is_shown_as_it_is(browser: webdriver.Chrome, server: Service) -> None:
    page = stubbed(browser, server, classify=[{"label": MARKUP, "score": 0.5}])
    page.classify()
    assert page.rows == [Row(MARKUP, "50.0 %", 0.5)]
    assert_inert(page)


def test_markup_in_an_error_is_shown_as_it_is(browser: webdriver.Chrome, server: Service) -> None:
    page = stubbed(browser, server, classify={"error": MARKUP})
    page.classify()
    assert page.error == MARKUP
    assert_inert(page)


def test_scores_without_bounds_are_shown_beside_the_largest(
    browser: webdriver.Chrome, server: Service
) -> None:
    api = server.get("/openapi.json").json
    del api["components"]["schemas"]["Score"]["maximum"]
    scores = {"a": 2.5, "b": 1.25, "c": 0, "d": -1.23456}
    answer = [{"label": label, "score": score} for label, score in scores.items()]
    page = stubbed(browser, server, openapi__json=api, classify=answer)
    page.classify()
    assert page.rows == [
        Row("a", "2.500", 1),
        Row("b", "1.250", 0.5),
        Row("c", "0.000", 0),
        Row("d", "-1.235", 0),
    ]


def test_the_page_asks_for_one_text_where_the_model_takes_one(page: Page) -> None:
    page.classify()
    assert page.element("first").text == "Text"
    assert not page.element("second").is_displayed()
    assert not page.element("access").is_displayed()


def test_a_model_of_pairs_is_asked_with_two_texts(
    browser: webdriver.Chrome, pair_model: Model
) -> None:
    with steady(pair_model) as server:
        page = Page(browser, server)
        WebDriverWait(browser, SECONDS).until(lambda _: page.element("second").is_displayed())
        for number in (3, 5):
            page.enter(pair_model.questions[number])
            page.enter(pair_model.questions[-1 - number], "text_pair")
            page.classify()
            page.assert_shows(pair_model.expected[number])
        page.press(Keys.CONTROL, Keys.ENTER)
        page.wait()
        page.assert_shows(pair_model.expected[5])
        assert page.element("first").text == "First text"
        assert page.element("text_pair").accessible_name == "Second text"


# A browser takes no letters for a header like the second one's: the page has to send their UTF-8.
@pytest.mark.parametrize("key", ["kEy-1+/=", "ключ-é"])
def test_a_key_is_asked_for_where_one_is_needed(
    browser: webdriver.Chrome, model: Model, tmp_path: Path, key: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(key, encoding="utf-8")
    options = (f"--volume={keys}:/run/keys:ro", "--env=API_KEY_FILE=/run/keys")
    with steady(model, *options, headers={"X-API-Key": key}) as server:
        page = Page(browser, server)
        page.enter(model.questions[4])
        page.classify()
        assert "API key" in page.error
        assert page.rows == []
        field = page.element("key")
        assert field.is_displayed() and field == browser.switch_to.active_element
        assert field.accessible_name == "API key"
        assert field.get_attribute("type") == "password"
        page.enter("another", "key")
        page.classify()
        assert "API key" in page.error
        page.enter(f" {key} ", "key")
        page.press(Keys.ENTER)
        page.wait()
        page.assert_shows(model.expected[4])


def test_the_browser_has_nothing_to_complain_about(page: Page) -> None:
    page.enter("the lazy dog")
    page.classify()
    assert page.rows
    assert log(page.browser, "browser") == []


def test_nobody_but_its_own_server_is_asked(page: Page) -> None:
    page.enter("the lazy dog")
    page.classify()
    assert requested(page.browser) == {
        page.url,
        f"{page.url}openapi.json",
        f"{page.url}classify",
    }


def test_what_others_would_bring_into_the_page_is_blocked(page: Page) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "http://{}:{}/".format(*other.getsockname())
        with pytest.raises(JavascriptException):
            page.run("return fetch(arguments[0], { mode: 'no-cors' })", address)
        for name in ("img", "script"):
            page.run(
                "const made = document.createElement(arguments[0]);"
                " made.src = arguments[1]; document.body.append(made)",
                *(name, address),
            )
        messages = log(page.browser, "browser")
        for directive in ("connect-src", "img-src", "script-src"):
            assert any(directive in message for message in messages), messages
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.parametrize("text", ["the lazy dog " * 500, "x" * 10_000, "я" * 10_000])
def test_on_a_phone_nothing_is_wider_than_the_window(
    browser: webdriver.Chrome, server: Service, text: str
) -> None:
    narrow(browser)
    page = Page(browser, server)
    assert page.run("return innerWidth") == 360
    page.assert_fits()
    page.paste(text)
    page.classify()
    assert len(page.rows) == 3
    page.assert_fits()


@pytest.mark.parametrize("reply", [[{"label": "x" * 500, "score": 0.5}], {"error": "x" * 500}])
def test_on_a_phone_words_without_an_end_are_broken(
    browser: webdriver.Chrome, server: Service, reply: object
) -> None:
    narrow(browser)
    api = server.get("/openapi.json").json
    api["info"]["title"] = "x" * 100
    page = stubbed(browser, server, openapi__json=api, classify=reply)
    page.classify()
    assert page.rows or page.error
    page.assert_fits()


def test_programs_that_read_aloud_are_told_what_is_what(page: Page) -> None:
    page.classify()
    # The scores are text, so the bars would only be read as nothing.
    for track in page.browser.find_elements(By.CLASS_NAME, "track"):
        assert track.get_attribute("aria-hidden") == "true"
    assert page.element("answer").get_attribute("aria-live") == "polite"
    assert page.element("answer").aria_role == "region"
    assert page.element("error").aria_role == "alert"
    assert page.run("return document.documentElement.lang") == "en"
    page.run("for (const one of document.querySelectorAll('[hidden]')) one.hidden = false")
    fields = page.browser.find_elements(By.CSS_SELECTOR, "input, textarea, button")
    assert [(field.aria_role, field.accessible_name) for field in fields] == [
        ("textbox", "Text"),
        ("textbox", "Second text"),
        ("textbox", "API key"),
        ("button", "Classify"),
    ]


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_the_keyboard_alone_will_do(page: Page, server: Service, key: str) -> None:
    # The text has the focus from the start.
    page.press(server.model.questions[1])
    page.press(Keys.TAB)
    button = page.browser.switch_to.active_element
    assert button.tag_name == "button"
    assert button.value_of_css_property("outline-style") == "solid"
    page.press(key)
    page.wait()
    page.assert_shows(server.model.expected[1])
