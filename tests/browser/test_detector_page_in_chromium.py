"""The page of a detector, in Chromium. Run by `make test-browser`."""

import pytest
from helpers.demo import box_predictor
from helpers.pages import opened

from aa_keras.demo import running

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser):
    with running(box_predictor(), "A detector") as address, opened(browser, address) as found:
        yield found


def test_boxes_follow_the_slider(page, images):
    from selenium.webdriver.common.keys import Keys

    page.upload(images / "large.png")
    assert [name for name, _ in page.classes()] == ["dog", "cat"]
    page.wait(lambda: page.source("#boxes"))
    before = page.source("#boxes")
    assert not page.source("#grad_cam")  # an export
    assert not page.all("#layer")
    number = page.one("#min_score input[type=number]")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("0.1", Keys.TAB)
    page.wait(lambda: page.source("#boxes") not in ("", before))
