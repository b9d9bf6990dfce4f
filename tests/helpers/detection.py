"""Drawn squares with boxes, in COCO's format, and a detector small enough to train on them."""

import json

import numpy as np
from PIL import Image

from aa_keras import recipes

COLORS = {"red": (220, 40, 40), "blue": (40, 40, 220)}
# Numbers that are no indices, and not in the order of the names.
IDS = {"red": 7, "blue": 3}


def draw(size, boxes, generator):
    """A noisy image of (height, width) with squares at (left, top, side, name)."""
    pixels = generator.integers(90, 160, (*size, 3)).astype(np.uint8)
    for left, top, side, name in boxes:
        pixels[top : top + side, left : left + side] = COLORS[name]
    return pixels


def annotation(number, image, bbox, category, **fields):
    area = bbox[2] * bbox[3]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": bbox,
        "area": area,
        "iscrowd": 0,
        **fields,
    }


def write_split(folder, split, count, first=0, seed=0, layout="coco"):
    """Writes images of several sizes with one to three squares each, the first without any, and their annotations."""
    generator = np.random.default_rng(seed)
    names = {"coco": f"annotations/instances_{split}2017.json", "roboflow": f"{split}/_annotations.coco.json"}
    images = folder / (f"{split}2017" if layout == "coco" else split)
    images.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name} for name, number in IDS.items()],
    }
    for index in range(count):
        number = first + 10 * index
        height, width = int(generator.integers(60, 100)), int(generator.integers(80, 120))
        boxes = []
        for cell in generator.permutation(4)[: 0 if index == 0 else generator.integers(1, 4)]:
            side = int(generator.integers(20, 28))
            left, top = (int(cell % 2) * width // 2) + 4, (int(cell // 2) * height // 2) + 1
            boxes.append((left, top, min(side, height - top), str(generator.choice(list(COLORS)))))
        Image.fromarray(draw((height, width), boxes, generator)).save(images / f"{number:06d}.png")
        content["images"].append({"id": number, "file_name": f"{number:06d}.png", "height": height, "width": width})
        for left, top, side, name in boxes:
            bbox = [left, top, side, side]
            content["annotations"].append(annotation(len(content["annotations"]) + 1, number, bbox, IDS[name]))
    path = folder / names[layout]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def squares(folder, train=12, validation=5, test=5):
    """Writes a folder of drawn squares, and returns it."""
    for seed, (split, count) in enumerate((("train", train), ("val", validation), ("test", test))):
        if count:
            write_split(folder, split, count, first=1000 * seed + 1, seed=seed)
    return folder


def detection_config(folder, **fields):
    """A config that trains a detector on such a folder in seconds."""
    config = recipes.default_config()
    config.update(name="squares", task="detection", dataset="coco_folder", data_dir=str(folder), builder="AARetinaNet")
    config.update(epochs=2, batch_size=4, optimizer="adam", learning_rate_per_256=1e-3 * 256 / 4, clip_norm=10.0)
    arguments = {
        "depth": 18,
        "width": 16,
        "blocks": (1, 1, 1, 1),
        "max_level": 5,
        "head_convolutions": 1,
        "anchor_size": 2.5,
    }
    config.update(input_size=(64, 96), horizontal_flip=True, scale_jitter=(0.8, 1.2), builder_arguments=arguments)
    with config.ignore_type():
        config.update(fields)
    return config
