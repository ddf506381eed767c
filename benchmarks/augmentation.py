"""Images augmented per second, where augmentation belongs, and what each kind of data set costs.

    python benchmarks/augmentation.py

Three questions, on one thread of the processor, in seconds of the processor, all rows taking turns:

1. Views per second of `contrast.augmentation.simclr_augmentation`, compiled as in a training step and called
   layer by layer, beside the same kinds of steps in albumentations (crop and scale, flip, colour jitter,
   grey) on uint8 and on float32 images.
2. An epoch of SimCLR with a small encoder: the views drawn in the step; in the pipeline by our layers; in the
   pipeline by albumentations; or not at all.
3. The same epoch on views that are ready, fed by arrays, `PyDataset`, `tf.data`, grain and a `DataLoader`.

Writes `augmentation.json`, `.md` and `.svg`. The extra `benchmarks` brings the peer, `grain` the data sets.
"""

import importlib.util
import os

import numpy as np

from benchmarks import common

JITTER = 0.4


def albumentations_view(side: int):
    """A function of one image, with the steps of `simclr_augmentation(side)`."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations
    import cv2

    cv2.setNumThreads(0)
    factors = (1 - JITTER, 1 + JITTER)
    steps = albumentations.Compose(
        [
            albumentations.RandomResizedCrop((side, side), scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.ColorJitter(factors, factors, factors, (-0.1, 0.1), p=0.8),
            albumentations.ToGray(p=0.2),
        ],
        seed=0,
    )
    return lambda image: steps(image=image)["image"]


def images_of(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype="uint8")


def views_per_second(images: np.ndarray, side: int, batch: int, repetitions: int) -> dict:
    import keras

    from contrast.augmentation import simclr_augmentation

    class Drawn(keras.Layer):
        """Draws in inference too: `predict` compiles a step without gradients."""

        def __init__(self, augmentation):
            super().__init__()
            self.augmentation = augmentation

        def call(self, inputs):
            return self.augmentation(inputs, training=True)

    floats = (images / 255).astype("float32")
    layer = simclr_augmentation(side, seed=0)
    compiled = keras.Sequential([keras.Input(floats.shape[1:]), Drawn(layer)])
    starts = range(0, len(images), batch)
    functions = {
        "compiled": lambda: compiled.predict(floats, batch, verbose=0),
        "layer by layer": lambda: [
            keras.ops.convert_to_numpy(layer(floats[start : start + batch], training=True))
            for start in starts
        ],
    }
    if importlib.util.find_spec("albumentations"):
        view = albumentations_view(side)
        functions["albumentations, uint8"] = lambda: np.stack([view(image) for image in images])
        functions["albumentations, float32"] = lambda: np.stack([view(image) for image in floats])
    seconds = common.interleaved(functions, repetitions)
    return {name: len(images) / taken for name, taken in seconds.items()}


def scheme(side: int, augmentation=None):
    import keras

    from contrast import encoders, models

    keras.utils.set_random_seed(0)
    encoder = encoders.ConvNet((16, 32, 64))
    encoder.build((None, side, side, 3))
    model = models.SimCLR(encoder, augmentation, projector=(64, 32))
    model.compile(keras.optimizers.SGD(0.01))
    return model


def epoch_seconds(images: np.ndarray, side: int, batch: int, repetitions: int) -> dict:
    """Seconds of an epoch, by where its views are drawn and, on ready views, by what feeds them."""
    import keras

    from contrast.augmentation import MultiView, simclr_augmentation
    from contrast.data import ViewBatches, views_from_tf_data

    floats = (images / 255).astype("float32")
    layer = simclr_augmentation(side, seed=0)
    options = {"epochs": 1, "shuffle": False, "verbose": 0}
    ready = np.stack([floats, floats], axis=1)
    in_step, on_views = scheme(side, MultiView(simclr_augmentation(side, seed=0), 2)), scheme(side)

    def fit(data):
        return lambda: on_views.fit(data, **options)

    pipeline = ViewBatches(floats, layer, batch_size=batch, shuffle=False)
    functions = {
        "arrays": lambda: on_views.fit(ready, batch_size=batch, **options),
        "in the step": lambda: in_step.fit(floats, batch_size=batch, **options),
        "pipeline, our layers": fit(pipeline),
    }
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        dataset = tf.data.Dataset.from_tensor_slices(floats).batch(batch)
        in_graph = views_from_tf_data(dataset, lambda samples: layer(samples, training=True))
        functions["pipeline, our layers in tf.data"] = fit(in_graph)
    if importlib.util.find_spec("albumentations"):
        view = albumentations_view(side)

        def augmented(samples, generator):
            return np.stack([view(sample) for sample in samples]).astype("float32") / 255

        functions["pipeline, albumentations"] = fit(
            ViewBatches(images, augmented, batch_size=batch, shuffle=False)
        )
    functions |= {name: fit(data) for name, data in feeds(ready, batch).items()}
    return common.interleaved(functions, repetitions)


def feeds(views: np.ndarray, batch: int) -> dict:
    """The same batches as different data sets."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return len(views) // batch

        def __getitem__(self, index):
            return views[index * batch : (index + 1) * batch]

    found = {"PyDataset": Batches()}
    if importlib.util.find_spec("tensorflow"):
        import tensorflow as tf

        found["tf.data"] = tf.data.Dataset.from_tensor_slices(views).batch(batch)
    if importlib.util.find_spec("grain"):
        import grain

        found["grain"] = grain.MapDataset.source(views).batch(batch)
    if importlib.util.find_spec("torch"):
        import torch

        from contrast.data import torch_collate

        found["DataLoader"] = torch.utils.data.DataLoader(views, batch, collate_fn=torch_collate)
    return found


def measure(count: int, side: int, batch: int, repetitions: int) -> dict:
    images = images_of(count, side)
    return {
        "machine": common.machine(),
        "views_per_second": views_per_second(images, side, batch, repetitions),
        "epoch_seconds": epoch_seconds(images, side, batch, repetitions),
    }


def report(results: dict) -> str:
    backends = list(results)
    failed = [f"{backend}: {result['failed']}" for backend, result in results.items() if "failed" in result]

    def rows(key, cell):
        known = {backend: result.get(key, {}) for backend, result in results.items()}
        names = dict.fromkeys(name for values in known.values() for name in values)
        return [
            [name, *(cell(known[backend], name) if name in known[backend] else None for backend in backends)]
            for name in names
        ]

    return "\n\n".join(
        [
            common.table(
                ["views per second", *backends],
                rows("views_per_second", lambda values, name: round(values[name])),
            ),
            common.table(
                ["epoch over that on ready views in arrays", *backends],
                rows("epoch_seconds", lambda values, name: values[name] / values["arrays"]),
            ),
            *failed,
        ]
    )


def plot(results: dict):
    figure, axes = common.subplots(1, 2, (11, 3.8))
    titles = {"views_per_second": "views per second", "epoch_seconds": "seconds an epoch"}
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        known = {backend: result[key] for backend, result in results.items() if key in result}
        names = list(dict.fromkeys(name for values in known.values() for name in values))
        for offset, (backend, values) in enumerate(known.items()):
            places = [place + 0.26 * offset for place, name in enumerate(names) if name in values]
            axis.barh(places, [values[name] for name in names if name in values], 0.24, label=backend)
        axis.set_yticks([place + 0.26 for place in range(len(names))], names, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title)
        axis.legend(fontsize=8)
    return figure


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--images", type=int, default=512, dest="count")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    request = {name: getattr(arguments, name) for name in ("count", "side", "batch", "repetitions")}
    results = {
        backend: common.in_process(__file__, backend, request, limit=arguments.limit)
        for backend in arguments.backends
    }
    found = {"settings": request, "results": results}
    common.write_results(arguments.output, "augmentation", found, report(results), plot(results))


if __name__ == "__main__":
    common.run(measure, main)
