"""SimCLR and a dual encoder by hand in PyTorch: the architectures and losses of `contrast.models`.

Weights come in Keras's layouts, as `training_step.weights_of` lists them. Images are `(batch, channels,
height, width)`, which is PyTorch's own order.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class Convolution(nn.Module):
    """A 3x3 convolution, batch normalisation and ReLU."""

    def __init__(self, weights, stride):
        super().__init__()
        kernel, scale, shift = map(torch.from_numpy, weights)
        self.kernel = nn.Parameter(kernel.permute(3, 2, 0, 1).contiguous())
        self.norm = nn.BatchNorm2d(len(scale), eps=1e-5)
        self.norm.weight.data, self.norm.bias.data = scale, shift
        self.stride = stride

    def forward(self, x):
        padding = 1
        if self.stride == 2 and x.shape[-1] % 2 == 0:  # TensorFlow's "same" pads the far side only
            x, padding = F.pad(x, (0, 1, 0, 1)), 0
        return F.relu(self.norm(F.conv2d(x, self.kernel, stride=self.stride, padding=padding)))


def conv_net(weights):
    """Two convolutions a stage, the first one with stride 2; the mean over the last map."""
    layers = [Convolution(layer, 2 - number) for stage in weights for number, layer in enumerate(stage)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def linear(kernel, bias=None):
    layer = nn.Linear(*kernel.shape, bias=bias is not None)
    layer.weight.data = torch.from_numpy(kernel).T.contiguous()
    if bias is not None:
        layer.bias.data = torch.from_numpy(bias)
    return layer


def norm(kind, scale, shift, epsilon):
    layer = kind(len(scale), eps=epsilon)
    layer.weight.data, layer.bias.data = torch.from_numpy(scale), torch.from_numpy(shift)
    return layer


class SimCLR(nn.Module):
    """The loss of views `(batch, 2, channels, height, width)`."""

    def __init__(self, weights, settings):
        super().__init__()
        kernel, bias, scale, shift, last_kernel, last_bias = weights["head"]
        self.encoder = conv_net(weights["encoder"])
        self.head = nn.Sequential(
            linear(kernel, bias),
            norm(nn.BatchNorm1d, scale, shift, 1e-5),
            nn.ReLU(),
            linear(last_kernel, last_bias),
        )
        self.temperature = settings["temperature"]

    def forward(self, views):
        return nt_xent(self.head(self.encoder(views.flatten(0, 1))), self.temperature)


class Block(nn.Module):
    """Attention and a perceptron, each behind a layer normalisation and beside a shortcut."""

    def __init__(self, weights, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm = norm(nn.LayerNorm, *weights["attention_norm"], 1e-6)
        self.mlp_norm = norm(nn.LayerNorm, *weights["mlp_norm"], 1e-6)
        for name in ("query", "key", "value", "output", "hidden", "contract"):
            setattr(self, name, linear(*weights[name]))

    def forward(self, x, mask):
        def split(tokens):
            return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)

        y = self.attention_norm(x)
        parts = split(self.query(y)), split(self.key(y)), split(self.value(y))
        attended = F.scaled_dot_product_attention(*parts, attn_mask=mask)
        x = x + self.output(attended.transpose(1, 2).flatten(2))
        return x + self.contract(F.gelu(self.hidden(self.mlp_norm(x))))


class DualEncoder(nn.Module):
    """The symmetric loss of images and token ids `(batch, length)`, 0 being padding."""

    def __init__(self, weights, settings):
        super().__init__()
        self.images = conv_net(weights["encoder"])
        self.tokens = nn.Embedding.from_pretrained(torch.from_numpy(weights["tokens"]), freeze=False)
        self.places = nn.Parameter(torch.from_numpy(weights["places"]))
        self.blocks = nn.ModuleList(Block(block, settings["heads"]) for block in weights["blocks"])
        self.norm = norm(nn.LayerNorm, *weights["norm"], 1e-6)
        self.projections = nn.ModuleList(linear(kernel) for kernel in weights["projections"])
        self.log_scale = nn.Parameter(torch.from_numpy(weights["log_scale"]))

    def texts(self, ids):
        real = ids != 0
        x = self.tokens(ids) + self.places[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, real[:, None, None])
        x = self.norm(x) * real[:, :, None]
        return x.sum(1) / real.sum(1, keepdim=True)

    def forward(self, images, ids):
        pair = self.projections[0](self.images(images)), self.projections[1](self.texts(ids))
        return symmetric_loss(*pair, self.log_scale)


def nt_xent(z, temperature):
    """The loss of embeddings `(2 * batch, dim)`, whose rows 2i and 2i + 1 are two views of a sample."""
    z = F.normalize(z, dim=1)
    logits = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    other_view = torch.arange(len(z), device=z.device) ^ 1
    return F.cross_entropy(logits.masked_fill(itself, float("-inf")), other_view)


def symmetric_loss(a, b, log_scale):
    """The loss of pairs, in both directions."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    logits = log_scale.exp() * a @ b.T
    diagonal = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, diagonal) + F.cross_entropy(logits.T, diagonal)) / 2


class KerasLayers(nn.Module):
    """A Keras model's layers under the loss by hand: what is left of it is what Keras's layers cost."""

    def __init__(self, model, settings):
        super().__init__()
        self.model, self.temperature = [model], settings["temperature"]
        self.values = nn.ParameterList([variable.value for variable in model.trainable_variables])

    def forward(self, *arrays):
        (model,) = self.model
        if len(arrays) == 1:
            return nt_xent(model(*arrays, training=True)["embeddings"].flatten(0, 1), self.temperature)
        (log_scale,) = model.temperature.trainable_variables
        return symmetric_loss(*model(arrays, training=True), log_scale.value)


class Trainer:
    """Plain gradient descent with momentum.

    Args:
        model: takes the arrays of a batch and returns the loss.
        settings: of the benchmark.
        device: `"cpu"` or `"gpu"`.
    """

    def __init__(self, model, settings, device):
        self.device = torch.device("cuda" if device == "gpu" else "cpu")
        self.model = model.to(self.device).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), settings["learning_rate"], momentum=0.9)

    def prepared(self, batch):
        """The batch's arrays, images in the layout of the model."""
        arrays = map(torch.from_numpy, batch)
        if isinstance(self.model, KerasLayers):
            return list(arrays)
        return [x.movedim(-1, -3).contiguous() if x.ndim > 2 else x for x in arrays]

    def epoch(self, batches):
        """Trains on each batch once; the mean loss."""
        total = torch.zeros((), device=self.device)
        for batch in batches:
            loss = self.model(*(array.to(self.device) for array in batch))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return total.item() / len(batches)
