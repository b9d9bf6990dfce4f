"""Reading images in several threads."""

import threading
import time

import numpy as np
import pytest
from helpers import odd_images

from aa_keras.data.decoding import CorruptImageError, decode_image
from aa_keras.data.reading import ImageReader, map_in_order


def test_results_are_in_order_whichever_thread_is_first():
    def slow_at_first(number):
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number, threading.get_ident()

    results = list(map_in_order(slow_at_first, range(30), ahead=8))
    assert [number for number, _ in results] == list(range(30))
    assert threading.get_ident() not in {thread for _, thread in results}


def test_no_more_is_read_ahead_than_asked_for():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = map_in_order(str, items(), ahead=5)
    for number in range(20):
        assert next(results) == str(number)
        assert len(taken) <= number + 1 + 5
    results.close()
    assert len(taken) <= 25


def test_errors_are_raised_in_their_place():
    results = map_in_order(lambda number: 1 / number, [2, 1, 0, 4], ahead=4)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_images_are_turned_where_it_is_asked_for(tmp_path):
    picture = odd_images.picture()
    (tmp_path / "a.jpg").write_bytes(odd_images.sideways_photograph(picture))
    as_stored, as_displayed = ImageReader()(tmp_path / "a.jpg"), ImageReader(turn=True)(str(tmp_path / "a.jpg"))
    np.testing.assert_array_equal(as_stored, decode_image((tmp_path / "a.jpg").read_bytes()))
    np.testing.assert_array_equal(as_displayed, np.rot90(as_stored, -1))


def test_what_cannot_be_read_raises(tmp_path):
    (tmp_path / "corrupt.jpg").write_bytes(odd_images.WHOLE[:200])
    with pytest.raises(CorruptImageError):
        ImageReader()(tmp_path / "corrupt.jpg")
    with pytest.raises(FileNotFoundError):
        ImageReader()(tmp_path / "missing.jpg")


def test_the_first_dark_image_alone_is_reported(tmp_path, caplog):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(odd_images.png_of_16_bits(np.zeros((8, 8), "uint8")))
    read = ImageReader()
    list(map_in_order(read, [tmp_path / f"{number}.png" for number in range(3)], ahead=3))
    assert len(caplog.records) == 1
