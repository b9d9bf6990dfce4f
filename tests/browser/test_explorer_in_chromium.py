"""The explorer in a real browser: Chromium without a window. Run by `make test-browser`."""

import pathlib

import numpy as np
import pytest
from helpers.explain import SHIFT, shifting_network

from aa_keras.explain.explorer import explorer_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    image = np.full((8, 12, 3), 128, np.uint8)
    pixels = np.random.default_rng(0).normal(size=(1, 8, 12, 3)).astype("float32")
    predictions = [("cat <b>", 0.75), ("dog", 0.25)]
    text = explorer_page(shifting_network(), pixels, image, predictions, "An image", "Of a network")
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, page):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(page.as_uri())
    WebDriverWait(browser, 20).until(lambda driver: attribute(driver, "html", "ready") == "true")
    yield browser
    # Errors, and what the page's policy refuses; the tests themselves read pixels.
    assert [entry for entry in browser.get_log("browser") if "readback" not in entry["message"]] == []


def attribute(driver, selector, name):
    return driver.execute_script("return document.querySelector(arguments[0]).dataset[arguments[1]]", selector, name)


def stage(driver):
    """The state of the large picture: layer, head, query and peak, the latter two as rows and columns."""
    shown = driver.execute_script("return {...document.getElementById('stage').dataset}")
    query, peak = (tuple(map(int, shown[name].split(","))) for name in ("query", "peak"))
    return shown["layer"], int(shown["head"]), query, peak


def brightest(driver, selector="#stage"):
    """The cell of a 4x6 map whose middle is drawn brightest in a picture."""
    cells = driver.execute_script(
        """
        const canvas = document.querySelector(arguments[0]), context = canvas.getContext("2d");
        return Array.from({ length: 24 }, (_, cell) => {
          const y = ((Math.floor(cell / 6) + 0.5) / 4) * canvas.height, x = (((cell % 6) + 0.5) / 6) * canvas.width;
          const [red, green, blue] = context.getImageData(x, y, 1, 1).data;
          return red + green + blue;
        });
        """,
        selector,
    )
    return divmod(int(np.argmax(cells)), 6)


def hover(driver, row, column):
    """Moves the pointer over the middle of a cell."""
    from selenium.webdriver import ActionChains

    element = driver.find_element("id", "stage")
    size = element.size
    offsets = (int(((column + 0.5) / 6 - 0.5) * size["width"]), int(((row + 0.5) / 4 - 0.5) * size["height"]))
    ActionChains(driver).move_to_element_with_offset(element, *offsets).perform()


def press(driver, keys):
    from selenium.webdriver import ActionChains

    ActionChains(driver).send_keys(keys).perform()


def test_it_loads_with_what_the_network_says(opened):
    assert opened.title == "An image"
    text = opened.find_element("tag name", "main").text
    assert "cat <b>" in text
    assert "75.0 %" in text
    assert stage(opened)[:2] == ("shifting", 1)
    buttons = opened.find_elements("css selector", "#heads button")
    assert [button.get_attribute("aria-pressed") for button in buttons] == ["true", "false"]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 1), (1, 3)])
def test_hovering_shows_where_the_pixel_looks(opened, row, column):
    """Itself in the first head; in the second one `SHIFT` away, and not the other way round."""
    hover(opened, row, column)
    assert stage(opened)[2:] == ((row, column), (row, column))
    assert brightest(opened) == (row, column)
    there = (row + SHIFT[0], column + SHIFT[1])
    assert brightest(opened, "#heads button:nth-child(2) canvas") == there  # all heads, at once
    opened.find_element("css selector", "#heads button:nth-child(2)").click()
    assert stage(opened) == ("shifting", 2, (row, column), there)
    assert brightest(opened) == there
    status = opened.find_element("id", "status").text
    place = f"Row {row}, column {column} of the 4x6 map (counted from 0)"
    assert f"{place} looks most at row {there[0]}, column {there[1]}: " in status


def test_colours_are_those_of_the_scale(opened):
    """The largest attention has the colour of the scale's end, over whatever the image has there."""
    hover(opened, 1, 3)
    color = opened.execute_script(
        """
        const canvas = document.querySelector("#heads canvas"), context = canvas.getContext("2d");
        return [...context.getImageData((3.5 / 6) * canvas.width, (1.5 / 4) * canvas.height, 1, 1).data];
        """
    )
    assert color == [252, 255, 164, 255]
    assert "rgb(252, 255, 164)" in opened.execute_script("return document.getElementById('scale').style.background")


def test_keys_move_the_query_and_change_head_and_layer(opened):
    hover(opened, 1, 1)
    from selenium.webdriver.common.keys import Keys

    for key, query in ((Keys.ARROW_DOWN, (2, 1)), (Keys.ARROW_RIGHT, (2, 2)), (Keys.ARROW_UP, (1, 2))):
        press(opened, key)
        assert stage(opened)[2] == query
    press(opened, Keys.ARROW_LEFT * 3)
    assert stage(opened)[2] == (1, 0)  # and not beyond the edge
    press(opened, "]")
    assert stage(opened) == ("shifting", 2, (1, 0), (2, 2))
    press(opened, "]")
    assert stage(opened)[1] == 2
    press(opened, "}")
    assert stage(opened)[:3] == ("even", 2, (1, 0))
    press(opened, "{")
    press(opened, "[")
    assert stage(opened) == ("shifting", 1, (1, 0), (1, 0))


def test_lists_and_points_choose_layer_and_head(opened):
    from selenium.webdriver.support.ui import Select

    Select(opened.find_element("id", "layer")).select_by_visible_text("2: even (4x6)")
    assert stage(opened)[0] == "even"
    Select(opened.find_element("id", "head")).select_by_index(1)
    assert stage(opened)[:2] == ("even", 2)
    points = opened.find_elements("css selector", "#distances circle")
    assert len(points) == 4
    points[1].click()
    assert stage(opened)[:2] == ("shifting", 2)
    assert [point.get_attribute("class") for point in points] == ["", "chosen", "", ""]


def test_a_tap_on_a_phone(opened):
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    width, box = opened.execute_script(
        "const box = document.getElementById('stage').getBoundingClientRect();"
        "return [document.documentElement.scrollWidth, [box.left, box.top, box.width, box.height]]"
    )
    assert width <= 390  # nothing sticks out
    left, top, box_width, box_height = box
    tap = {"x": left + box_width * 3.5 / 6, "y": top + box_height * 2.5 / 4}
    opened.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [tap]})
    opened.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert stage(opened)[2:] == ((2, 3), (2, 3))
    assert brightest(opened) == (2, 3)


def test_light_and_dark(opened):
    def background():
        return opened.execute_script("return getComputedStyle(document.body).backgroundColor")

    button = opened.find_element("id", "theme")
    first, name = background(), button.text
    button.click()
    assert background() != first
    assert button.text != name
    button.click()
    assert (background(), button.text) == (first, name)


def test_everything_that_can_be_used_has_a_name(opened):
    unnamed = opened.execute_script(
        """
        return [...document.querySelectorAll("button, select, canvas[tabindex], svg[role]")].filter((element) =>
          !(element.getAttribute("aria-label") || element.labels?.length || element.textContent.trim())
        ).map((element) => element.outerHTML);
        """
    )
    assert unnamed == []
    assert pathlib.Path(opened.current_url.removeprefix("file://")).name == "explorer.html"
