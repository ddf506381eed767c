"""A training step of SimCLR and of a dual encoder, beside the same models by hand in PyTorch and in JAX.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --backends torch jax --device gpu --batch 512 \\
        --filters 64 128 256

Ours is `fit`, all that belongs to it included; the peers, `plain_torch.py` and `plain_jax.py`, are loops over
the same batches, from the same weights, with the same optimizer. On PyTorch there is also a loop around the
layers of Keras, with the loss and the optimizer by hand: what is more there is Keras's layers, not ours. All
lie in memory and take turns in one process; seconds are those of the processor on one thread, on a GPU those
of the clock. The mean losses are compared: a ratio counts only where they are the same. TensorFlow has no
peer here: its row says what our step takes. TensorFlow is imported only where it is the backend.

Writes `training_step.json`, `.md` and `.svg`.
"""

import time

import numpy as np

from benchmarks import common

SCHEMES = ("SimCLR", "DualEncoder")
VOCABULARY = 1000
AGREEMENT = 1e-3
KERAS_LAYERS = "Keras's layers"


def settings_of(arguments) -> dict:
    names = ("batch", "side", "filters", "projector", "length", "dim", "depth", "heads", "steps")
    return {name: getattr(arguments, name) for name in names} | {
        "temperature": 0.1,
        "learning_rate": 0.01,
    }


def batches_of(scheme: str, settings: dict) -> list[tuple]:
    """Arrays of each step: views, or images and token ids with padding behind them."""
    rng = np.random.default_rng(0)
    batch, side, length = (settings[name] for name in ("batch", "side", "length"))

    def pair():
        images = rng.random((batch, side, side, 3), dtype="float32")
        ids = rng.integers(1, VOCABULARY, (batch, length), dtype="int32")
        return images, np.where(np.arange(length) < rng.integers(length // 2, length + 1, (batch, 1)), ids, 0)

    def views():
        return (rng.random((batch, 2, side, side, 3), dtype="float32"),)

    return [(views if scheme == "SimCLR" else pair)() for _ in range(settings["steps"])]


def scheme_of(scheme: str, settings: dict):
    """The scheme of `contrast.models`, built and compiled."""
    import keras

    from contrast import encoders, models

    keras.utils.set_random_seed(0)
    images = encoders.ConvNet(settings["filters"])
    side = settings["side"]
    if scheme == "SimCLR":
        model = models.SimCLR(images, projector=settings["projector"], temperature=settings["temperature"])
        model.build((None, 2, side, side, 3))
    else:
        texts = encoders.TextTransformer(
            VOCABULARY,
            dim=settings["dim"],
            depth=settings["depth"],
            heads=settings["heads"],
            max_length=settings["length"],
            pooling="mean",
        )
        model = models.DualEncoder(images, texts, dim=settings["projector"][-1])
        model.build([(None, side, side, 3), (None, settings["length"])])
    model.compile(keras.optimizers.SGD(settings["learning_rate"], momentum=0.9))
    return model


def weights_of(scheme: str, model) -> dict:
    """The model's trainable weights as a tree of arrays, in Keras's layouts."""

    def arrays(*layers):
        return [np.array(_to_numpy(variable)) for layer in layers for variable in layer.trainable_variables]

    def stages(encoder):
        found = [arrays(stage) for stage in encoder.stages]
        return [[stage[:3], stage[3:]] for stage in found]

    if scheme == "SimCLR":
        (norm,), (first, last) = model.projector.norms, model.projector.dense
        return {"encoder": stages(model.encoder), "head": arrays(first, norm, last)}
    texts = model.second
    names = ("attention_norm", "mlp_norm", "query", "key", "value", "hidden", "contract")
    blocks = [
        {name: arrays(getattr(block, name)) for name in names} | {"output": arrays(block.output_projection)}
        for block in texts.blocks
    ]
    return {
        "encoder": stages(model.first),
        "tokens": arrays(texts.embedding)[0],
        "places": np.array(_to_numpy(texts.places)),
        "blocks": blocks,
        "norm": arrays(texts.norm),
        "projections": [arrays(layer)[0] for layer in model.projections],
        "log_scale": arrays(model.temperature)[0],
    }


def _to_numpy(variable):
    from keras import ops

    return ops.convert_to_numpy(ops.stop_gradient(ops.convert_to_tensor(variable)))


def as_data_set(batches: list[tuple]):
    """The batches as `fit` takes them."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return (batches[index][0] if len(batches[index]) == 1 else batches[index],)

    return Batches()


def measure(scheme: str, settings: dict, device: str, repetitions: int) -> dict:
    """Seconds of a step of ours and of the peer's, and by how much their losses differ."""
    import keras

    backend = keras.config.backend()
    model, batches = scheme_of(scheme, settings), batches_of(scheme, settings)
    data = as_data_set(batches)
    losses = {"contrast": []}

    def ours():
        history = model.fit(data, epochs=1, shuffle=False, verbose=0).history
        losses["contrast"].append(float(history["loss"][0]))

    functions = {"contrast": ours}
    for name, trainer in trainers_of(scheme, settings, model, device).items():
        losses[name] = []
        functions[name] = epoch_of(trainer, batches, losses[name])
    clock = time.perf_counter if device == "gpu" else time.process_time
    seconds = common.interleaved(functions, repetitions, clock)
    result = {"machine": common.machine(), "device": device_name(backend, device), "losses": losses}
    result["seconds"] = {name: taken / settings["steps"] for name, taken in seconds.items()}
    if len(functions) > 1:
        _, *others = losses.values()
        result["difference"] = max(difference(losses["contrast"], other) for other in others)
        result["ratio"] = seconds["contrast"] / seconds[f"plain {backend}"]
    return result


def trainers_of(scheme: str, settings: dict, model, device: str) -> dict:
    """The peers by name, each from the weights that the model has."""
    import keras

    match keras.config.backend():
        case "torch":
            from benchmarks import plain_torch

            plain = {"SimCLR": plain_torch.SimCLR, "DualEncoder": plain_torch.DualEncoder}[scheme]
            models = {
                "plain torch": plain(weights_of(scheme, model), settings),
                KERAS_LAYERS: plain_torch.KerasLayers(scheme_of(scheme, settings), settings),
            }
            return {name: plain_torch.Trainer(peer, settings, device) for name, peer in models.items()}
        case "jax":
            from benchmarks.plain_jax import Trainer

            return {"plain jax": Trainer(scheme, weights_of(scheme, model), settings, device)}
    return {}


def epoch_of(trainer, batches: list[tuple], losses: list[float]):
    """A function that trains on the batches once and adds the mean loss to `losses`."""
    prepared = [trainer.prepared(batch) for batch in batches]
    return lambda: losses.append(trainer.epoch(prepared))


def difference(ours: list[float], theirs: list[float]) -> float:
    """The relative difference of the first epoch's mean losses; later ones grow apart by rounding."""
    return abs(ours[0] / theirs[0] - 1)


def device_name(backend: str, device: str) -> str:
    if device == "cpu":
        return "processor, one thread"
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name()
    if backend == "jax":
        import jax

        return jax.devices()[0].device_kind
    import tensorflow as tf

    return str(tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0]))


def environment(device: str) -> dict[str, str]:
    """Where each framework computes."""
    if device == "gpu":
        return {}
    return {"KERAS_TORCH_DEVICE": "cpu", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}


def rows_of(results: list[dict]) -> list[list]:
    rows = []
    for result in results:
        seconds = result.get("seconds", {})
        peer = next((name for name in seconds if name.startswith("plain")), None)
        layers = seconds.get(KERAS_LAYERS)
        wrong = result.get("difference", 0) > AGREEMENT
        rows.append(
            [
                result["scheme"],
                result["backend"],
                1000 * seconds["contrast"] if seconds else result["failed"],
                1000 * seconds[peer] if peer else None,
                "losses differ" if wrong else result.get("ratio"),
                1000 * layers if layers else None,
                seconds["contrast"] / layers if layers and not wrong else None,
                f"{result['difference']:.0e}" if peer else None,
            ]
        )
    return rows


def plot(results: list[dict]):
    from matplotlib.patches import Rectangle

    figure, axes = common.subplots(1, len(SCHEMES), (9, 3), squeeze=False)
    for axis, scheme in zip(axes[0], SCHEMES, strict=True):
        known = [result for result in results if result["scheme"] == scheme and "seconds" in result]
        for place, result in enumerate(known):
            for offset, (name, taken) in enumerate(result["seconds"].items()):
                color = {"contrast": "C0", KERAS_LAYERS: "C2"}.get(name, "C1")
                axis.bar(place + 0.25 * offset, 1000 * taken, 0.23, color=color)
        axis.set_xticks([place + 0.25 for place in range(len(known))], [r["backend"] for r in known])
        axis.set(title=scheme, ylabel="ms a step")
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in ("C0", "C1", "C2")]
    axes[0, 0].legend(handles, ["contrast, fit", "by hand", "Keras's layers, the rest by hand"], fontsize=8)
    return figure


def main() -> None:
    parser = common.parser(__doc__, repetitions=5, limit=600)
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--filters", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--projector", type=int, nargs=2, default=[128, 64])
    parser.add_argument("--length", type=int, default=16, help="of the texts, in tokens")
    parser.add_argument("--dim", type=int, default=64, help="width of the text encoder")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10, help="of an epoch")
    parser.add_argument("--name", default="training_step", help="of the files that are written")
    arguments = parser.parse_args()
    settings, results = settings_of(arguments), []
    for scheme in arguments.schemes:
        for backend in arguments.backends:
            request = {
                "scheme": scheme,
                "settings": settings,
                "device": arguments.device,
                "repetitions": arguments.repetitions,
            }
            result = common.in_process(
                __file__,
                backend,
                request,
                threads=1 if arguments.device == "cpu" else None,
                limit=arguments.limit,
                **environment(arguments.device),
            )
            results.append({"scheme": scheme, "backend": backend, **result})
    columns = ["scheme", "backend", "contrast, ms", "by hand, ms", "ratio"]
    columns += ["Keras's layers, the rest by hand, ms", "ratio", "losses differ by"]
    text = common.table(columns, rows_of(results))
    found = {"settings": settings, "results": results}
    common.write_results(arguments.output, arguments.name, found, text, plot(results))


if __name__ == "__main__":
    common.run(measure, main)
