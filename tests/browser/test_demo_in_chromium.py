"""The page to try a network, in Chromium. Run by `make test-browser`."""

import json
import shutil
import subprocess
import urllib.parse

import pytest
from helpers.demo import shifting_predictor, write_image
from helpers.explain import SHIFT
from helpers.pages import opened

from aa_keras.demo import PageFunctions, running

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(images):
    (images / "examples").mkdir()
    write_image(images / "examples" / "noise.png", seed=3)
    with running(shifting_predictor(), "A network", "- **Accuracy**: 75 %", images / "examples") as found:
        yield found


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as found:
        yield found


def test_an_image_is_predicted_and_explained(page, images, address):
    page.upload(images / "first.png")
    expected = PageFunctions(shifting_predictor())
    path = str(images / "first.png")
    seen = [(expected.names[number], f"{score:.0%}") for number, score in expected.classes(path)]
    assert [tuple(each) for each in page.classes()] == seen
    best, score = expected.names[expected.classes(path)[0][0]], expected.classes(path)[0][1]
    page.wait(lambda: page.text("#grad_cam").startswith(f"Grad-CAM of {best} ({score:.1%})"))
    assert page.picture("#attention").shape == (4, 6, 3)
    page.wait(lambda: len(page.all("#heads button")) == 2)
    assert page.requested_hosts() == {urllib.parse.urlparse(address).netloc}  # and no other server


def test_a_click_on_a_class_explains_it(page, images):
    page.upload(images / "first.png")
    classes = page.classes()
    page.wait(lambda: page.source("#grad_cam"))
    before = page.source("#grad_cam")
    page.all("#classes .confidence-set")[2].click()
    page.wait(lambda: page.text("#grad_cam").startswith(f"Grad-CAM of {classes[2][0]} ("))
    page.wait(lambda: page.source("#grad_cam") not in ("", before))


def test_a_click_on_a_pixel_shows_where_it_looks(page, images):
    """Itself in the first head of the layer, and `SHIFT` away in the second one."""
    page.upload(images / "first.png")
    page.wait(lambda: page.source("#attention"))
    page.choose_layer("shifting")
    page.wait(lambda: page.looks_at() == [(2, 3)])  # the middle of the image
    page.click_cell(1, 2)
    page.wait(lambda: page.looks_at() == [(1, 2)])
    page.all("#heads button")[1].click()
    page.wait(lambda: page.looks_at() == [(1 + SHIFT[0], 2 + SHIFT[1])])
    page.click_cell(0, 0)
    page.wait(lambda: page.looks_at() == [SHIFT])  # in the same head
    page.upload(images / "second.png")
    page.wait(lambda: page.source("#attention"))
    page.wait(lambda: page.looks_at() == [SHIFT])  # of the same pixel


def test_a_file_that_is_no_image_is_answered_in_a_sentence(page, images):
    page.upload(images / "first.png")
    page.wait(lambda: page.source("#attention"))
    page.upload(images / "corrupt.png")
    page.wait(lambda: page.text("#message") == "corrupt.png cannot be read: it is not an image of a known format.")
    assert not page.all("#classes .confidence-set")  # nothing of the image before
    assert not page.source("#grad_cam")
    assert not page.source("#attention")
    page.rest()
    assert not page.all(".toast-body")  # said once
    page.upload(images / "second.png")
    assert len(page.classes()) == 3
    page.wait(lambda: not page.text("#message"))


def test_an_example_is_predicted(page, images):
    expected = PageFunctions(shifting_predictor())
    page.wait(lambda: page.all(".gallery-item"))
    page.all(".gallery-item")[0].click()
    path = str(images / "examples" / "noise.png")
    assert page.classes()[0][0] == expected.names[expected.classes(path)[0][0]]


def test_what_the_network_is_and_how_programs_call_it(page, address):
    for label in page.all("button.label-wrap"):
        label.click()
    page.wait(lambda: "Accuracy: 75 %" in page.text("main"))
    page.wait(lambda: f"files=@image.jpg {address}gradio_api/upload" in page.text("#curl"))


def test_light_and_dark_on_a_phone(page, images):
    colors = set()
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for theme in ("light", "dark"):
        page.open(f"?__theme={theme}")
        page.upload(images / "first.png")
        page.wait(lambda: page.source("#grad_cam") and page.source("#attention") and len(page.all("#heads img")) == 2)
        width, color = page.driver.execute_script(
            "return [document.documentElement.scrollWidth, getComputedStyle(document.querySelector('h1')).color]"
        )
        assert width <= 390  # nothing sticks out
        colors.add(color)
    assert len(colors) == 2


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_commands_of_the_page_work(page, images, address):
    page.all("button.label-wrap")[-1].click()
    page.wait(lambda: address in page.text("#curl"))
    lines = [line for line in page.text("#curl").splitlines() if not line.strip().isdigit() and line.strip() != "curl"]
    command = "\n".join(lines).replace("@image.jpg", f"@{images / 'first.png'}")
    completed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert completed.stdout.startswith("event: complete\ndata: [[{")
    assert json.loads(completed.stdout.split("data: ")[1])[0][0]["label"] in ("cat", "dog", "Ölbaum")
