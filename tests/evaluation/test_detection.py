"""COCO's average precision: what it says of perfect, shifted, and no detections; and what is drawn of it."""

import contextlib
import dataclasses
import io
import json
import pathlib
import types

import numpy as np
import pytest
from helpers.detection import squares
from PIL import Image

from aa_keras.data.coco_folder import load_coco_folder
from aa_keras.data.detection_pipelines import (
    DetectionPreprocessing,
    detection_evaluation_dataset,
    detection_raw_dataset,
)
from aa_keras.errors import UserError
from aa_keras.evaluation.detection_pictures import plot_precision_recall

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")

from aa_keras.evaluation import detection


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_coco_folder(squares(tmp_path_factory.mktemp("squares"), test=9))


def perfect(dataset, change=lambda boxes, labels, scores: (boxes, labels, scores), size=(64, 96)):
    """The results of a detector that sees the truth, by the whole pipeline: fitted, in batches, and back."""
    preprocessing = DetectionPreprocessing((0, 0, 0), (1, 1, 1), size)
    batches = detection_evaluation_dataset(dataset.test, preprocessing, 4)
    annotated = dataset.test.annotated
    scales = [np.min(np.divide(size, (image.height, image.width))) for image in annotated]
    done = iter(range(12))

    def predict(images):
        assert images.shape == (4, *size, 3)
        found = {
            "boxes": np.full((4, 100, 4), -1.0),
            "confidence": np.full((4, 100), -1.0),
            "labels": np.full((4, 100), -1),
            "num_detections": np.zeros(4, int),
        }
        for row in range(4):
            index = next(done)
            if index >= len(annotated):
                continue
            image = annotated[index]
            fitted = np.round(np.array([image.height, image.width]) * scales[index])
            scale = np.tile(fitted / (image.height, image.width), 2)
            boxes, labels, scores = change(image.boxes * scale, image.labels, np.linspace(0.9, 0.5, len(image.labels)))
            found["num_detections"][row] = len(boxes)
            found["boxes"][row, : len(boxes)] = boxes
            found["labels"][row, : len(boxes)] = labels
            found["confidence"][row, : len(boxes)] = scores
        return found

    return detection.detect(predict, batches, 4, annotated, dataset.categories)


def measured(dataset, results):
    return detection.measure(dataset.test.annotated, dataset.categories, results)


def test_perfect_detections_have_a_precision_of_one_at_any_size(dataset):
    for size in ((64, 96), (128, 128), (32, 200)):
        evaluation = measured(dataset, perfect(dataset, size=size))
        assert evaluation.ap == evaluation.ap50 == evaluation.ap75 == evaluation.ar100 == pytest.approx(1.0)
        assert evaluation.class_ap.tolist() == evaluation.class_ap50.tolist() == [1.0, 1.0]
        assert np.isnan(evaluation.ap_large)  # there are no such squares
        assert evaluation.images == 9
        assert np.all(evaluation.precision == 1)


def test_other_classes_and_other_images_are_wrong(dataset):
    def other_class(boxes, labels, scores):
        return boxes, 1 - labels, scores

    assert measured(dataset, perfect(dataset, other_class)).ap == pytest.approx(0, abs=1e-9)
    shifted = [{**result, "image_id": result["image_id"] + 1} for result in perfect(dataset)]
    with pytest.raises(AssertionError):  # of pycocotools: there are no such images
        measured(dataset, shifted)
    numbers = [image.id for image in dataset.test.annotated]
    following = dict(zip(numbers, [*numbers[1:], numbers[0]], strict=True))
    shifted = [{**result, "image_id": following[result["image_id"]]} for result in perfect(dataset)]
    assert measured(dataset, shifted).ap < 0.1


def test_worse_boxes_are_worse_at_higher_overlaps_alone(dataset):
    def shrunk(boxes, labels, scores):
        sides = boxes[:, 2:] - boxes[:, :2]
        return np.concatenate([boxes[:, :2], boxes[:, :2] + sides * (0.67, 1.0)], axis=1), labels, scores

    evaluation = measured(dataset, perfect(dataset, shrunk))
    assert evaluation.ap50 == pytest.approx(1.0)
    assert evaluation.ap75 == pytest.approx(0.0)
    assert evaluation.ap == pytest.approx(0.4)  # right at 0.5, 0.55, 0.6 and 0.65, of ten
    half = measured(dataset, perfect(dataset, lambda *rows: tuple(row[:1] for row in rows)))
    assert 0 < half.ar100 < 1


def test_nothing_found_is_zero_and_no_objects_is_nothing(dataset):
    nothing = measured(dataset, [])
    assert (nothing.ap, nothing.ap50, nothing.ar100) == (0.0, 0.0, 0.0)
    assert nothing.class_ap.tolist() == [0.0, 0.0]
    assert "AP 0.00%" in nothing.summary()
    empty = dataset.test.annotated[:1]
    assert len(empty[0].labels) == 0
    for results in ([], [{"image_id": empty[0].id, "category_id": 3, "bbox": [1, 1, 5, 5], "score": 0.5}]):
        assert np.isnan(detection.measure(empty, dataset.categories, results).ap)


def test_crowds_forgive(dataset):
    image = next(image for image in dataset.test.annotated if len(image.labels) > 1)
    is_crowd = np.arange(len(image.labels)) == 0
    with_crowd = dataclasses.replace(image, is_crowd=is_crowd)
    boxes, labels = image.boxes, image.labels
    results = detection.coco_results(image, dataset.categories, boxes, np.linspace(0.9, 0.5, len(labels)), labels)
    inside = {**results[0], "bbox": [results[0]["bbox"][0] + 1, results[0]["bbox"][1] + 1, 8, 8], "score": 0.95}
    forgiven = detection.measure([with_crowd], dataset.categories, [inside, *results])
    punished = detection.measure([image], dataset.categories, [inside, *results])
    assert forgiven.ap == pytest.approx(1.0)
    assert punished.ap < 0.9


def test_numbers_that_are_none_are_an_error(dataset):
    results = perfect(dataset)
    results[0]["score"] = float("nan")
    with pytest.raises(UserError, match="boxes are not all numbers"):
        measured(dataset, results)


def test_boxes_are_clipped_and_classes_keep_their_numbers(dataset):
    image = dataset.test.annotated[1]
    boxes = [[-5, -3, image.height + 9, 10], [2, 3, 20.5, 33.25]]
    first, second = detection.coco_results(image, dataset.categories, boxes, [0.75, 0.5], [0, 1])
    assert first == {"image_id": image.id, "category_id": 3, "bbox": [0, 0, 10, image.height], "score": 0.75}
    assert second == {"image_id": image.id, "category_id": 7, "bbox": [3, 2, 30.25, 18.5], "score": 0.5}


def test_the_report_says_what_pycocotools_says_by_hand(dataset, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    generator = np.random.default_rng(0)

    def shaken(boxes, labels, scores):
        return boxes + generator.uniform(-2, 2, boxes.shape), labels, scores

    evaluation = measured(dataset, perfect(dataset, shaken))
    shown = dataclasses.replace(evaluation, load_images=lambda: detection_raw_dataset(dataset.test))
    shown.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(evaluation.FILES)
    written = json.loads((tmp_path / "evaluation.json").read_text())
    folder = pathlib.Path(dataset.test.annotated[0].name).parents[1]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(folder / "annotations" / "instances_test2017.json")
        by_hand = COCOeval(truth, truth.loadRes(str(tmp_path / "detections.json")), "bbox")
        by_hand.evaluate()
        by_hand.accumulate()
        by_hand.summarize()
    assert 0.3 < evaluation.ap < 1
    for name, value in zip(detection.STATISTICS, by_hand.stats, strict=False):
        expected = None if value < 0 else pytest.approx(value, abs=1e-9)
        assert written[name] == expected, name
    assert written["detections"] == len(evaluation.results)
    for name in ("detections.png", "precision_recall.png"):
        with Image.open(tmp_path / name) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 20
    lines = evaluation.lines()
    assert lines[0].startswith("AP of objects: small ")
    assert "large none" in lines[0]
    assert "red AP" in lines[1]


def test_intervals_are_of_evaluations_of_samples_of_the_images(dataset):
    generator = np.random.default_rng(0)
    evaluation = measured(
        dataset, perfect(dataset, lambda boxes, *others: (boxes + generator.uniform(-2, 2, boxes.shape), *others))
    )
    assert evaluation.intervals == {}
    images = sorted(dataset.test.annotated, key=lambda image: image.id)
    sampled, results = [], []
    for number, index in enumerate(np.random.default_rng(0).integers(len(images), size=len(images)), 1):
        sampled.append(dataclasses.replace(images[index], id=number))
        of_image = (result for result in evaluation.results if result["image_id"] == images[index].id)
        results += ({**result, "image_id": number} for result in of_image)
    expected = detection.measure(sampled, dataset.categories, results)
    one = evaluation.with_intervals(1)
    for name in ("ap", "ap50", "ap75"):
        assert one.intervals[name] == pytest.approx((getattr(expected, name),) * 2, abs=1e-9), name
    many = evaluation.with_intervals(20)
    low, high = many.intervals["ap"]
    assert low < evaluation.ap < high
    assert many.lines()[0].startswith(f"95 % intervals: AP {low:.1%} to {high:.1%}, AP50 ")
    assert many.numbers()["ap_interval"] == [low, high]


def test_curves_of_many_classes_and_of_none(dataset, tmp_path):
    classes = 30
    precision = np.random.default_rng(0).uniform(size=(classes, 101))
    precision[3] = np.nan
    many = types.SimpleNamespace(precision=precision, class_ap50=precision.mean(axis=1), ap50=0.5)
    plot_precision_recall(many, [f"class {index}" for index in range(classes)], tmp_path / "many.png")
    nothing = measured(dataset, [])
    plot_precision_recall(nothing, dataset.categories.names, tmp_path / "none.png")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("many.png", "none.png"))
