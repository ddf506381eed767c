import keras
import keras_hub
import numpy as np
import pytest

from applications.face_naming import NONAME, CaptionedPhoto, PhotoBatches
from applications.face_naming.bert_names import bert_name_features

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, "ada", "love", "##lace", "alan", "george", "w", ".", "bush", "tur", "##ing"]
PIECES = {
    "Ada Lovelace": ["ada", "love", "##lace"],
    "Alan Turing": ["alan", "tur", "##ing"],
    "George W. Bush": ["george", "w", ".", "bush"],
    "Bush": ["bush"],
    "Zed": ["[UNK]"],
    NONAME: ["[UNK]"],
}


def tiny(layers=5):
    keras.utils.set_random_seed(1)
    backbone = keras_hub.models.BertBackbone(len(VOCABULARY), layers, 2, 8, 16, max_sequence_length=10)
    rng = np.random.default_rng(0)
    for variable in backbone.trainable_variables:  # larger than initial weights, so that names differ
        if len(variable.shape) > 1:
            variable.assign(rng.normal(0, 0.5, variable.shape))
    return backbone


@pytest.fixture(scope="module")
def backbone():
    return tiny()


@pytest.fixture(scope="module")
def tokenizer():
    return keras_hub.tokenizers.BertTokenizer(VOCABULARY, lowercase=True)


@pytest.fixture(scope="module")
def features(backbone, tokenizer):
    return bert_name_features(list(PIECES), backbone, tokenizer, batch_size=3)


def by_hand(backbone, pieces):
    """One name without padding, layer by layer in NumPy's hands."""
    ids = np.array([[VOCABULARY.index(piece) for piece in ["[CLS]", *pieces, "[SEP]"]]])
    tokens = backbone.token_embedding(ids)
    embedded = [tokens, backbone.position_embedding(tokens), backbone.segment_embedding(np.zeros_like(ids))]
    state = backbone.embeddings_layer_norm(sum(keras.ops.convert_to_numpy(part) for part in embedded))
    states = []
    for layer in backbone.transformer_layers:
        state = layer(state, training=False)
        states.append(keras.ops.convert_to_numpy(state)[0])
    return np.sum(states[-4:], axis=0)[1:-1].mean(axis=0)


def test_sum_of_four_layers_and_mean_of_word_pieces(backbone, features):
    assert set(features) == set(PIECES)
    for name in ("Ada Lovelace", "Bush", NONAME):
        expected = by_hand(backbone, PIECES[name])
        assert features[name].shape == (8,) and features[name].dtype == np.float32
        np.testing.assert_allclose(features[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
    assert np.abs(features["Bush"] - features["Alan Turing"]).max() > 0.1


def test_noname_is_the_unknown_piece(features):
    np.testing.assert_allclose(features[NONAME], features["Zed"], rtol=1e-5)


def test_order_batches_and_padding_change_nothing(backbone, tokenizer, features):
    given = bert_name_features(
        ["George W. Bush", "Ada Lovelace", NONAME, "Ada Lovelace"], backbone, tokenizer
    )
    assert list(given) == ["George W. Bush", "Ada Lovelace", NONAME]
    alone = bert_name_features(["Bush"], backbone, tokenizer)
    for name, vector in (given | alone).items():
        np.testing.assert_allclose(vector, features[name], rtol=1e-4, atol=1e-5)


def test_preset_of_a_folder(backbone, tokenizer, features, tmp_path):
    backbone.save_to_preset(str(tmp_path))
    tokenizer.save_to_preset(str(tmp_path))
    read = bert_name_features(list(PIECES), tmp_path)
    for name, vector in features.items():
        np.testing.assert_allclose(read[name], vector, rtol=1e-4, atol=1e-5)


def test_batches_take_the_features(features):
    photos = [CaptionedPhoto(np.ones((1, 4), "float32"), ("Bush", "Ada Lovelace"))]
    item = PhotoBatches(photos, features, batch_size=1)[0]
    np.testing.assert_array_equal(item["names"][0, 0], features["Bush"])
    np.testing.assert_array_equal(item["names"][0, 2], features[NONAME])


def test_long_names_are_cut_and_names_of_no_piece_are_unknown(backbone, tokenizer, features):
    given = bert_name_features(["ada " * 30, "ada " * 8, "\u0007"], backbone, tokenizer)
    np.testing.assert_allclose(given["ada " * 30], given["ada " * 8], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(given["\u0007"], features[NONAME], rtol=1e-4, atol=1e-5)


def test_no_names_give_noname(backbone, tokenizer):
    assert list(bert_name_features([], backbone, tokenizer)) == [NONAME]


def test_too_few_layers(tokenizer):
    with pytest.raises(ValueError, match="at least 4 transformer layers, whose outputs are summed, got 3"):
        bert_name_features(["Ada"], tiny(3), tokenizer)


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        ("Ada", TypeError, r"the string 'Ada'; use \['Ada'\]"),
        (["Ada", 3], TypeError, "names must hold strings, got int: 3"),
        (["Ada", " "], ValueError, "must not hold an empty string, got ' '"),
    ],
)
def test_names_of_another_kind(names, error, says, backbone, tokenizer):
    with pytest.raises(error, match=says):
        bert_name_features(names, backbone, tokenizer)


def test_backbones_of_another_kind(backbone, tokenizer):
    with pytest.raises(TypeError, match="tokenizer must be given with a backbone"):
        bert_name_features(["Ada"], backbone)
    with pytest.raises(TypeError, match=r"BertBackbone, got Sequential"):
        bert_name_features(["Ada"], keras.Sequential(), tokenizer)
