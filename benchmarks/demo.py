"""How long the page to try a network takes to answer, and its memory under many requests at once.

python benchmarks/demo.py        # two minutes on two cores; needs the extra demo, chromium and chromium-driver

AA-ResNet-50 with random weights and photographs of 500x375 pixels. Times are those in Chromium, from the upload or the
click until the answer is on the page, medians of several rounds. Then 50 programs ask at once.
"""

import concurrent.futures
import functools
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

import gradio_client
import measure
import numpy as np
from helpers.pages import Page, chromium
from PIL import Image

from aa_keras.applications import AAResNet50

ROOT = pathlib.Path(__file__).parents[1]
ROUNDS = 7
REQUESTS = 50
RESULTS = ROOT / "benchmarks" / "results"


def main():
    with tempfile.TemporaryDirectory() as folder:
        paths = photographs(pathlib.Path(folder))
        AAResNet50(weights=None).save(f"{folder}/aa_resnet50.keras")
        command = [sys.executable, "-m", "aa_keras", "demo", f"--model={folder}/aa_resnet50.keras"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
            try:
                address = next(found[1] for line in server.stdout if (found := re.search(r"(http://\S+)", line)))
                seconds = times(address, paths[: ROUNDS + 1])
                requests = at_once(address, paths, server.pid)
            finally:
                server.terminate()
    content = {"device": measure.device(), "network": "AAResNet50", "seconds": seconds, "requests": requests}
    print(json.dumps(content, indent=1))
    (RESULTS / "demo.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def photographs(folder):
    """Writes photographs, each one another, and returns their paths."""
    generator, paths = np.random.default_rng(0), []
    for number in range(2 * REQUESTS + 1):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype="uint8"))
        paths.append(folder / f"{number}.jpg")
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def times(address, paths):
    """Returns the median seconds until the page has an answer, by what is asked; the first image warms up."""
    found = {"classes of an image": [], "Grad-CAM of a class": [], "attention of a pixel": []}
    classes, grad_cam, attention = found.values()
    with chromium() as driver:
        page = Page(driver, address).open()
        for number, path in enumerate(paths):
            begin = time.perf_counter()
            page.upload(path)
            page.wait(lambda: page.all("#classes .confidence-set"))
            classes.append(time.perf_counter() - begin)
            page.wait(lambda: page.source("#grad_cam") and page.source("#attention"))
            page.rest()
            grad_cam.append(until_changed(page, "#grad_cam", page.all("#classes .confidence-set")[1].click))
            attention.append(until_changed(page, "#attention", functools.partial(page.click_cell, number % 4, 1)))
    return {name: round(statistics.median(values[1:]), 2) for name, values in found.items()}


def until_changed(page, selector, click):
    before, begin = page.source(selector), time.perf_counter()
    click()
    page.wait(lambda: page.source(selector) not in ("", before))
    seconds = time.perf_counter() - begin
    page.rest()
    return seconds


def at_once(address, paths, process):
    """Returns how many of the requests were answered, in how many seconds, and the server's memory in MB."""
    client = gradio_client.Client(address, verbose=False)

    def ask(number):
        file = gradio_client.handle_file(str(paths[number]))
        return len(client.predict(file, 0.5, api_name="/predict"))

    ask(2 * REQUESTS)
    memory = [megabytes(process)]
    seconds = []
    for turn in range(2):
        numbers = range(turn * REQUESTS, (turn + 1) * REQUESTS)
        begin = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(REQUESTS) as threads:
            answered = sum(classes == 5 for classes in threads.map(ask, numbers))
        seconds.append(round(time.perf_counter() - begin, 2))
        memory.append(megabytes(process))
    return {"asked": REQUESTS, "answered": answered, "seconds": seconds, "megabytes": memory}


def megabytes(process):
    return round(measure.process_memory("VmRSS", process) / 1e6)


if __name__ == "__main__":
    main()
