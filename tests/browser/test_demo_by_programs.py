"""The page to try a network, called by programs. Run by `make test-browser`."""

import concurrent.futures
import dataclasses
import itertools
import threading
import time

import numpy as np
import pytest
from helpers.demo import shifting_predictor

from aa_keras.demo import PageFunctions, running

pytestmark = pytest.mark.browser


@pytest.fixture
def address():
    with running(shifting_predictor()) as found:
        yield found


@pytest.fixture
def client(address):
    import gradio_client

    return gradio_client.Client(address, verbose=False)


def predicted(client, path):
    import gradio_client

    return client.predict(gradio_client.handle_file(str(path)), 0.5, api_name="/predict")


def test_programs_get_what_predict_writes(client, images):
    path = str(images / "first.png")
    expected = PageFunctions(shifting_predictor()).predictions(path, 0.5)
    found = predicted(client, path)
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    np.testing.assert_allclose(
        [each["probability"] for each in found], [each["probability"] for each in expected], atol=2e-6
    )
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/predict"]


def test_fifty_requests_at_once_are_answered(client, images):
    with concurrent.futures.ThreadPoolExecutor(50) as threads:
        paths = [images / ("first.png", "second.png")[number % 2] for number in range(50)]
        answers = list(threads.map(lambda path: predicted(client, path), paths))
    assert len(answers) == 50
    assert all(answer == answers[number % 2] for number, answer in enumerate(answers))
    assert answers[0] != answers[1]


def test_requests_that_are_refused_leave_the_page_as_it_is(client, images, address):
    import gradio_client
    import httpx

    with pytest.raises(Exception, match=r"corrupt.png cannot be read: it is not an image of a known format"):
        predicted(client, images / "corrupt.png")
    with pytest.raises(Exception, match=r"min_score must be a number from 0 to 1. Received: min_score=2"):
        client.predict(gradio_client.handle_file(str(images / "first.png")), 2, api_name="/predict")
    with pytest.raises(Exception, match="An image must be given"):
        client.predict(None, 0.5, api_name="/predict")
    file = {"meta": {"_type": "gradio.FileData"}}
    for path, reason in (("http://203.0.113.7/image.png", "addresses are not fetched"), ("/etc/hostname", "")):
        posted = httpx.post(f"{address}gradio_api/call/predict", json={"data": [{**file, "path": path}, 0.5]})
        event = posted.json()["event_id"]
        answer = httpx.get(f"{address}gradio_api/call/predict/{event}", timeout=30).text
        assert answer.startswith("event: error")
        assert reason in answer
    unnamed = httpx.post(f"{address}gradio_api/call/predict", json={"data": [{"path": "/etc/hostname"}, 0.5]})
    answer = httpx.get(f"{address}gradio_api/call/predict/{unnamed.json()['event_id']}", timeout=30).text
    assert answer.startswith("event: error")
    direct = httpx.post(f"{address}gradio_api/run/predict", json={"data": [{**file, "path": "/etc/hostname"}, 0.5]})
    assert direct.status_code == 404  # past the queue
    with pytest.raises(ValueError, match="find"):
        gradio_client.Client(address, verbose=False).predict(None, api_name="/show")
    assert len(predicted(client, images / "first.png")) == 3


def test_the_queue_is_bounded(images, monkeypatch):
    """While one request is under way, three wait, and the others are answered that the queue is full."""
    import gradio_client

    predictor, go_on = shifting_predictor(), threading.Event()
    monkeypatch.setattr("aa_keras.demo.page.MAX_WAITING", 3)
    slow = dataclasses.replace(predictor, run=lambda images: go_on.wait(60) and predictor.run(images))
    with running(slow) as address:
        client = gradio_client.Client(address, verbose=False)
        with concurrent.futures.ThreadPoolExecutor(12) as threads:
            asked = [threads.submit(predicted, client, images / "first.png")]
            time.sleep(1)  # until it is under way
            asked += [threads.submit(predicted, client, images / "second.png") for _ in range(8)]
            try:
                refused = list(itertools.islice(concurrent.futures.as_completed(asked, timeout=15), 5))
            finally:
                go_on.set()
            assert sum(each.exception() is None for each in asked) == 4
    assert all("queue is full" in str(each.exception()).lower() for each in refused)
