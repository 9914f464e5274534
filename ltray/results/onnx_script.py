"""Classify images with an exported ONNX file; needs onnxruntime, numpy and pillow only.

    python predict.py model.onnx IMAGE...

`ltray export RUN FOLDER` copies this file into the folder as `predict.py`.
"""

import json
import sys
from typing import Any

import numpy as np
from PIL import Image, ImageOps


def main(model: str, files: list[str]) -> None:
    """Print the probability of each class for each image, as one JSON object per line."""
    import onnxruntime  # here: an extra of ltray, imported only when a file is used

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["ltray"])
    for file in files:
        image = fitted(ImageOps.exif_transpose(Image.open(file)).convert("RGB"), about["input"])
        pixels = np.asarray(image).transpose(2, 0, 1)[None]
        probabilities = session.run(["probabilities"], {"images": pixels})[0][0]
        print(json.dumps(dict(zip(about["class_names"], probabilities.tolist(), strict=True))))


def fitted(image: Image.Image, form: dict[str, Any]) -> Image.Image:
    """Resize and crop an image, as for the evaluation of the model."""
    side, square = form["image_size"], form["resize_shorter_side"]
    if square:
        image = centre(image if image.size == (square, square) else resized(image, square / min(image.size)), square)
    elif max(image.size) > form["longest_side"]:
        image = resized(image, form["longest_side"] / max(image.size))
    if form.get("five_crops"):  # the file cuts the image itself
        shorter = side + form["five_crops"]
        sides = [shorter * length // min(image.size) for length in image.size]
        return image.resize(sides, Image.Resampling.BILINEAR)
    if square:
        return image
    return centre(image, max(int(min(image.size) * 224 / 256), 1)).resize((side, side), Image.Resampling.BILINEAR)


def resized(image: Image.Image, share: float) -> Image.Image:
    """Resize an image to a share of its size."""
    return image.resize([max(1, round(length * share)) for length in image.size], Image.Resampling.BILINEAR)


def centre(image: Image.Image, side: int) -> Image.Image:
    """Return the square in the centre of an image."""
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
