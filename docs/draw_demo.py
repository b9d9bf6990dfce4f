"""Draws docs/demo_classes.png and docs/demo_boxes.png: the page to try a network, in Chromium.

python docs/draw_demo.py runs/digits        # half a minute; needs the extra detection, chromium and chromium-driver

The first page is that of a run of the digits, the second one that of the detector of blood cells, with drawn cells.
"""

import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

import numpy as np
from helpers.pages import Page, chromium
from PIL import Image, ImageDraw, ImageFilter

from aa_keras.applications import AARetinaNet
from aa_keras.commands.images import write_examples
from aa_keras.demo import running
from aa_keras.export import load_predictor, servable_for

DOCS = pathlib.Path(__file__).parent
DETECTOR = {
    "depth": 18,
    "width": 32,
    "blocks": (1, 1, 1, 1),
    "max_level": 5,
    "head_convolutions": 1,
    "anchor_size": 2.5,
    "input_shape": (192, 256, 3),
    "classes": 3,
}


def main():
    (run,) = sys.argv[1:]
    detector = servable_for(AARetinaNet(**DETECTOR, weights="bccd"), "bccd").predictor()
    with tempfile.TemporaryDirectory() as folder:
        digits = write_examples(pathlib.Path(folder) / "digits")
        cells = pathlib.Path(folder) / "cells.png"
        draw_cells().save(cells)
        draw("demo_classes.png", load_predictor(run), "Handwritten digits", digits / "two.png", "light", digits)
        draw("demo_boxes.png", detector, "Blood cells", cells, "dark")


def draw(name, predictor, title, path, theme, examples=None):
    with running(predictor, title, examples=examples) as address, chromium(1200, 1400) as driver:
        page = Page(driver, address).open(f"?__theme={theme}")
        page.upload(path)
        page.wait(lambda: page.source("#grad_cam") and page.source("#attention"))
        before = page.source("#attention")
        page.click_cell(1, 2)
        page.wait(lambda: page.source("#attention") not in ("", before))
        page.rest()
        driver.execute_script("window.scrollTo(0, 0)")
        page.all("h1")[0].click()  # so that nothing is hovered over
        driver.save_screenshot(str(DOCS / name))
    print(DOCS / name)


def draw_cells():
    """Returns a picture of thirteen red cells and a white one, as a microscope shows them."""
    generator = np.random.default_rng(3)
    picture = Image.new("RGB", (640, 480), (206, 196, 198))
    pen, centers = ImageDraw.Draw(picture), [np.array((320, 240))]

    def disc(x, y, radius, color):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    while len(centers) < 14:
        center = generator.uniform((50, 50), (590, 430))
        if all(np.hypot(*(center - other)) > 110 for other in centers):
            centers.append(center)
    for x, y in centers[1:]:
        radius = generator.uniform(44, 52)
        disc(x, y, radius, (186, 138, 146))
        disc(x, y, 0.45 * radius, (205, 175, 180))
    x, y = centers[0]
    disc(x, y, 75, (200, 185, 205))
    for _ in range(4):  # the parts of its nucleus
        disc(x + generator.uniform(-30, 30), y + generator.uniform(-30, 30), generator.uniform(22, 32), (110, 80, 170))
    return picture.filter(ImageFilter.GaussianBlur(3))


if __name__ == "__main__":
    main()
