"""Image tokens read each other and the prompt."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="report_generation")
class MultimodalBlock(keras.Layer):
    """A BERT layer with cross-attention: image tokens to all of them, then to the prompt, then a perceptron.

    Normalisation stands behind each shortcut, as in BERT.

    Args:
        heads: attention heads; they divide the width.
        hidden_dim: width of the perceptron's hidden layer, whose activation is the exact GELU.
        dropout: on both attentions, behind them and behind the perceptron.
        seed: int or `None`, of the dropout.

    Call: tokens `(batch, tokens, dim)`, prompt `(batch, length, dim)` and `real` `(batch, length)`, True at
        prompt tokens that are no padding; at least one in each row. Returns the tokens in the same shape.
    """

    def __init__(self, heads, hidden_dim, dropout=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.hidden_dim, self.rate, self.seed = heads, hidden_dim, dropout, seed

    def build(self, tokens_shape, prompt_shape=None):
        dim = tokens_shape[-1]
        shape = (None, None, dim)

        def attention(name, number):
            layer = keras.layers.MultiHeadAttention(
                self.heads,
                dim // self.heads,
                dropout=self.rate,
                seed=None if self.seed is None else self.seed + number,
                dtype=self.dtype_policy,
                name=name,
            )
            layer.build(shape, shape)
            return layer

        def built(layer, input_shape=shape):
            layer.build(input_shape)
            return layer

        self.self_attention, self.cross_attention = (
            attention("self_attention", 0),
            attention("cross_attention", 1),
        )
        self.norms = [
            built(
                keras.layers.LayerNormalization(epsilon=1e-12, dtype=self.dtype_policy, name=f"{name}_norm")
            )
            for name in ("self", "cross", "mlp")
        ]
        self.hidden = built(keras.layers.Dense(self.hidden_dim, dtype=self.dtype_policy, name="hidden"))
        self.contract = built(
            keras.layers.Dense(dim, dtype=self.dtype_policy, name="contract"), (None, None, self.hidden_dim)
        )
        self.dropout = keras.layers.Dropout(self.rate, seed=self.seed, dtype=self.dtype_policy)
        self.built = True

    def call(self, tokens, prompt, real, training=None):
        def dropped(x):
            return self.dropout(x, training=training)

        x = self.norms[0](tokens + dropped(self.self_attention(tokens, tokens, training=training)))
        mask = ops.broadcast_to(real[:, None], (*ops.shape(tokens)[:2], ops.shape(prompt)[1]))
        read = self.cross_attention(x, prompt, attention_mask=mask, training=training)
        x = self.norms[1](x + dropped(read))
        hidden = keras.activations.gelu(self.hidden(x), approximate=False)
        return self.norms[2](x + dropped(self.contract(hidden)))

    def compute_output_shape(self, tokens_shape, prompt_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "hidden_dim": self.hidden_dim,
            "dropout": self.rate,
            "seed": self.seed,
        }
