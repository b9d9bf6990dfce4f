"""Pages in Chromium, that to try a network among them."""

import contextlib
import json
import os
import shutil
import urllib.parse

import numpy as np

from aa_keras.explain.figures import COLORS

BRIGHTEST = [round(255 * channel) for channel in COLORS(1.0)[:3]]


@contextlib.contextmanager
def chromium(width=1280, height=1000):
    """Chromium without a window, which logs its console and its requests."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if not program or not driver:
        raise FileNotFoundError("There is no chromium or no chromedriver: CHROMIUM and CHROMEDRIVER may name them")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", f"window-size={width},{height}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield running
    finally:
        running.quit()


class Page:
    """The page in a browser."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address

    def open(self, query=""):
        self.driver.get(self.address + query)
        self.wait(lambda: self.all("#image input[type=file]"))
        return self

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def wait(self, condition):
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 30, 0.05, [WebDriverException]).until(lambda _: condition())

    def text(self, selector):
        return self.driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText.trim() ?? ''", selector
        )

    def upload(self, path):
        """Uploads an image in place of the one before, if there is one."""
        for button in self.all("#image button[aria-label='Remove Image'], #image button[aria-label='Clear']"):
            button.click()
        self.wait(lambda: self.all("#image input[type=file]"))
        self.one("#image input[type=file]").send_keys(str(path))

    def classes(self):
        self.wait(lambda: self.all("#classes .confidence-set"))
        return [each.text.split("\n") for each in self.all("#classes .confidence-set")]

    def source(self, selector):
        return self.driver.execute_script("return document.querySelector(arguments[0] + ' img')?.src ?? ''", selector)

    def picture(self, selector, rows=4, columns=6):
        """The colors of the middles of a picture's cells."""
        self.wait(lambda: self.source(selector))
        colors = self.driver.execute_async_script(
            """
            const [source, rows, columns, done] = arguments;
            const image = new Image();
            image.onload = () => {
              const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
              [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
              context.drawImage(image, 0, 0);
              done(Array.from({ length: rows * columns }, (_, cell) => {
                const y = ((Math.floor(cell / columns) + 0.5) / rows) * canvas.height;
                const x = (((cell % columns) + 0.5) / columns) * canvas.width;
                return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
              }));
            };
            image.src = source;
            """,
            self.source(selector),
            rows,
            columns,
        )
        return np.array(colors).reshape(rows, columns, 3)

    def looks_at(self):
        """The cells of the map with the largest attention."""
        found = (self.picture("#attention") == BRIGHTEST).all(axis=-1)
        return [tuple(map(int, cell)) for cell in np.argwhere(found)]

    def click_cell(self, row, column):
        from selenium.webdriver import ActionChains

        element = self.one("#attention img")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        size = element.size
        offsets = (int(((column + 0.5) / 6 - 0.5) * size["width"]), int(((row + 0.5) / 4 - 0.5) * size["height"]))
        ActionChains(self.driver, duration=0).move_to_element_with_offset(element, *offsets).click().perform()

    def choose_layer(self, name):
        self.one("#layer input").click()
        self.wait(lambda: [option.click() for option in self.all("[role=option]") if name in option.text])

    def rest(self):
        """Waits until nothing is under way: Gradio shows the seconds that it takes."""
        self.wait(lambda: not self.all(".progress-text, .eta-bar"))

    def requested_hosts(self):
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        addresses = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {urllib.parse.urlparse(each).netloc for each in addresses} - {""}  # what is in the page has none


@contextlib.contextmanager
def opened(browser, address):
    """A page, whose console must have no errors."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get("about:blank")
    for log in ("browser", "performance"):  # of requests that leaving the page before has aborted
        browser.get_log(log)
    yield Page(browser, address).open()
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
