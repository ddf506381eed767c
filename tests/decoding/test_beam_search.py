import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from contrast import backend
from contrast.decoding import BeamSearch, FeatureDecoder, generate, shift_right
from contrast.decoding.decoder_block import DecoderBlock
from tests.case import to_numpy

START, END, PADDING = 1, 2, 0
IDS = {"start_id": START, "end_id": END}


class Table:
    """A decoder whose log-probabilities after each possible beginning of a text are given.

    `features` `(items, beginnings, vocabulary)`; a beginning has the number that its tokens, each plus 1,
    spell in the base of the vocabulary.
    """

    def __init__(self):
        self.traces = 0

    def start_cache(self, features, feature_mask, length):
        items = features.shape[0]
        state = {"number": ops.zeros((items,), "int32"), "item": ops.arange(items, dtype="int32")}
        return {"memory": features, "state": state}

    def step(self, tokens, index, cache):
        self.traces += 1
        table, state = cache["memory"], cache["state"]
        vocabulary = table.shape[2]
        number = ops.where(index == 0, 0, state["number"] * vocabulary + tokens + 1)
        row = state["item"] * table.shape[1] + ops.minimum(number, table.shape[1] - 1)
        logits = ops.take(ops.reshape(table, (-1, vocabulary)), row, axis=0)
        return logits, {"memory": table, "state": {"number": number, "item": state["item"]}}


def random_table(items, vocabulary, length, seed=0, usable=None, scale=2.0):
    beginnings = sum(vocabulary**n for n in range(length))
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(items, beginnings, vocabulary)).astype("float32") * scale
    if usable is not None:
        logits[..., [token for token in range(vocabulary) if token not in usable]] = -np.inf
    return logits


def log_probabilities(table, text):
    number = 0
    for token in text:
        number = number * table.shape[1] + token + 1
    row = table[min(number, len(table) - 1)].astype("float64")
    return row - np.log(np.exp(row).sum())


def score(table, text, penalty, prompt=()):
    terms = [log_probabilities(table, text[:n])[text[n]] for n in range(len(prompt), len(text))]
    return sum(terms) / max(1, len(terms)) ** penalty


def brute_force(table, tokens, length, penalty):
    """All texts over `tokens`, ended or of full length, best first, with their scores."""
    texts = [(*body, END) for n in range(length) for body in itertools.product(tokens, repeat=n)] + list(
        itertools.product(tokens, repeat=length)
    )
    return sorted(((score(table, text, penalty), text) for text in texts), reverse=True)


def plain_search(table, length, width, penalty, prompt=()):
    """Beam search with lists."""
    beam = [(0.0, ())]
    for place in range(length):
        following = []
        for value, text in beam:
            if text and text[-1] == END:
                following.append((value, text))
                continue
            tokens = [prompt[place]] if place < len(prompt) else range(table.shape[1])
            for token in tokens:
                if token != PADDING:
                    new = (*text, token)
                    following.append((score(table, new, penalty, prompt), new))
        beam = sorted(following, reverse=True)[:width]
    return beam


def assert_texts(found, expected, item):
    texts = [[int(t) for t in row] for row in found.alternatives[item]]
    length = len(texts[0])
    assert texts == [[*text, *[PADDING] * (length - len(text))] for _, text in expected]
    np.testing.assert_allclose(found.alternative_scores[item], [value for value, _ in expected], rtol=1e-4)
    assert texts[0] == found.tokens[item].tolist() and found.scores[item] == found.alternative_scores[item, 0]


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.5])
def test_wide_beam_equals_brute_force(penalty):
    # Up to the third place there are 15 texts, so that a beam of 16 drops nothing before the last choice.
    table = random_table(2, 16, 4, usable=(END, 3, 4))
    found = BeamSearch(Table(), **IDS, max_length=4, beam_width=16, length_penalty=penalty)(table)
    for item in range(2):
        assert_texts(found, brute_force(table[item], (3, 4), 4, penalty)[:16], item)


@pytest.mark.parametrize(("width", "penalty"), [(1, 1.0), (2, 0.0), (4, 1.0)])
def test_narrow_beam_equals_a_plain_search(width, penalty):
    tables = random_table(4, 6, 5, seed=1)
    search = BeamSearch(Table(), **IDS, max_length=5, beam_width=width, length_penalty=penalty)
    prompts = [(4, 3), (5,), (), (3, 3)]
    found = search(tables, prompt=np.array([[4, 3], [5, 0], [0, 0], [3, 3]]))
    for item, prompt in enumerate(prompts):
        assert_texts(found, plain_search(tables[item], 5, width, penalty, prompt), item)
        assert len(set(map(tuple, found.alternatives[item]))) == width


def test_beam_of_one_takes_the_best_token_each_time():
    table = random_table(1, 6, 5, seed=2)
    text = ()
    while len(text) < 5 and END not in text:
        text += (1 + int(np.argmax(log_probabilities(table[0], text)[1:])),)
    found = BeamSearch(Table(), **IDS, max_length=5)(table)
    assert found.tokens[0].tolist() == [*text, *[PADDING] * (5 - len(text))]


def test_wider_beam_finds_what_greedy_misses():
    table = np.full((1, 1 + 6 + 36, 6), -5.0, "float32")
    table[0, 0, [3, 4]] = 1.0, 0.9
    table[0, 1 + 4, END] = 9.0  # after 4 the end is certain, after 3 nothing is
    settings = {**IDS, "max_length": 3}
    assert generate(Table(), table, **settings).tokens[0].tolist()[0] == 3
    assert generate(Table(), table, beam_width=2, **settings).tokens[0].tolist() == [4, END, 0]


def test_finished_text_is_frozen():
    """Whatever the decoder says after the end, the score stays and only padding follows."""
    tables = random_table(1, 6, 2, seed=3), random_table(1, 6, 2, seed=3)
    for table, after in zip(tables, (-50.0, 50.0), strict=True):
        table[0, 0, END] = 6.0
        table[0, 1 + END] = -after
        table[0, 1 + END, [PADDING, 3]] = after, -after
    search = BeamSearch(Table(), **IDS, max_length=2, beam_width=3, length_penalty=0.0)
    found = [search(table) for table in tables]
    for result, table in zip(found, tables, strict=True):
        assert result.tokens[0].tolist() == [END, PADDING]
        assert result.scores[0] == pytest.approx(log_probabilities(table[0], ())[END], rel=1e-5)
    np.testing.assert_array_equal(found[0].alternatives, found[1].alternatives)
    np.testing.assert_array_equal(found[0].alternative_scores, found[1].alternative_scores)


def test_length_penalty_moves_the_choice_to_long_texts():
    tables = random_table(30, 6, 4, seed=4)
    lengths = [
        (BeamSearch(Table(), **IDS, max_length=4, beam_width=6, length_penalty=a)(tables).tokens != 0).sum()
        for a in (0.0, 3.0)
    ]
    assert lengths[0] < lengths[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_each_alternative_has_its_own_score(seed):
    tables = random_table(2, 5, 4, seed)
    found = SEARCH(tables)
    for item, row in itertools.product(range(2), range(3)):
        text = [int(t) for t in found.alternatives[item, row]]
        ended = text.index(END) + 1 if END in text else 4
        assert not any(text[ended:]) and PADDING not in text[:ended]
        expected = score(tables[item], tuple(text[:ended]), 0.7)
        assert found.alternative_scores[item, row] == pytest.approx(expected, rel=1e-4)
    assert (np.diff(found.alternative_scores, axis=1) <= 0).all()


SEARCH = BeamSearch(Table(), **IDS, max_length=4, beam_width=3, length_penalty=0.7)


def test_fewer_texts_than_places_and_padding_equal_to_the_end():
    table = random_table(1, 6, 2, usable=(END,))
    found = BeamSearch(Table(), **IDS, max_length=2, beam_width=3)(table)
    assert found.alternatives[0].tolist() == [[END, PADDING], [PADDING] * 2, [PADDING] * 2]
    assert found.alternative_scores[0].tolist() == [0.0, -np.inf, -np.inf]
    found = BeamSearch(Table(), **IDS, max_length=2, beam_width=3, padding_id=END)(table)
    assert found.tokens.tolist() == [[END, END]]


def test_batches_are_padded_to_one_shape_and_compiled_once():
    tables, decoder = random_table(5, 6, 3, seed=5), Table()
    search = BeamSearch(decoder, **IDS, max_length=3, beam_width=2)
    whole = search(tables)
    batched = search(tables, batch_size=2, prompt=np.zeros((5, 1), int))
    for ours, theirs in zip(batched, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    if keras.backend.backend() != "torch":
        traces = decoder.traces
        search(tables[:4])
        before = decoder.traces
        assert before > traces
        search(tables[:4])
        generate(decoder, tables, max_length=3, **IDS)
        traces = decoder.traces
        generate(decoder, tables, max_length=3, **IDS)
        assert decoder.traces == traces


@pytest.fixture(scope="module")
def transformer():
    rng = np.random.default_rng(0)
    decoder = FeatureDecoder(vocabulary_size=7, dim=8, depth=2, heads=2, max_length=6)
    decoder.build({"features": (3, 4, 5), "ids": (3, 6)})
    decoder.set_weights([w + rng.normal(size=w.shape) * 0.5 for w in decoder.get_weights()])
    features = rng.normal(size=(3, 4, 5)).astype("float32")
    return decoder, features, np.arange(4) < np.array([[4], [2], [0]])


def full_pass_scores(full, features, mask, texts):
    inputs = {"features": features, "feature_mask": mask, "ids": to_numpy(shift_right(texts, START))}
    logits = to_numpy(full(inputs)).astype("float64")
    terms = np.take_along_axis(logits, texts[:, :, None], axis=2)[..., 0] - np.log(
        np.exp(logits).sum(axis=-1)
    )
    return (terms * (texts != 0)).sum(axis=1) / (texts != 0).sum(axis=1)


def test_caches_follow_their_beams(transformer):
    """The scores of all alternatives equal those of a pass over the whole text."""
    decoder, features, mask = transformer
    search = BeamSearch(decoder, **IDS, max_length=6, beam_width=4)
    full = backend.compiled(decoder.__call__, lambda: decoder.variables)
    for new in (0.0, 0.3):
        # The compiled search reads the weights as they are by now.
        decoder.set_weights(
            [w + new * np.cos(np.arange(w.size)).reshape(w.shape) for w in decoder.get_weights()]
        )
        found = search(features, mask)
        for row in range(4):
            expected = full_pass_scores(full, features, mask, found.alternatives[:, row])
            np.testing.assert_allclose(found.alternative_scores[:, row], expected, rtol=1e-4)
        assert len({tuple(text) for text in found.alternatives[0]}) == 4


def test_a_token_costs_one_place_whatever_the_length(transformer, monkeypatch):
    decoder, features, mask = transformer
    places, call = [], DecoderBlock.call

    def counted(self, tokens, *args, **kwargs):
        places.append(tokens.shape[1])
        return call(self, tokens, *args, **kwargs)

    monkeypatch.setattr(DecoderBlock, "call", counted)
    never_ends = np.full((3, 6), 4)
    for length in (3, 6) if keras.backend.backend() == "torch" else (6,):
        places.clear()
        search = BeamSearch(decoder, **IDS, max_length=length, beam_width=2)
        search(features, mask, prompt=never_ends[:, :length])
        assert set(places) == {1}
        if keras.backend.backend() == "torch":
            assert len(places) == length * len(decoder.blocks)


def test_generate_keeps_its_search_out_of_the_saved_model(transformer, tmp_path):
    decoder, features, mask = transformer
    generate(decoder, features, mask, **IDS, max_length=2)
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.models.load_model(tmp_path / "decoder.keras")
    for ours, theirs in zip(loaded.get_weights(), decoder.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beam_width": 7}, "beam_width must be at most the vocabulary size, 6, got 7"),
        ({"beam_width": 0}, "beam_width must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"end_id": 6}, "end_id must be below the vocabulary size, 6, got 6"),
        ({"start_id": -1}, "start_id must be an id, at least 0, got -1"),
        ({"length_penalty": -0.5}, "length_penalty must be at least 0, got -0.5"),
        ({"batch_size": 0}, "batch_size must be at least 1 or None, got 0"),
        ({"prompt": np.zeros((2, 0), int)}, "prompt must hold 1 to max_length=3 tokens, got 0"),
        ({"prompt": np.full((2, 4), 5)}, "prompt must hold 1 to max_length=3 tokens, got 4"),
        (
            {"prompt": np.full((1, 2), 5)},
            r"prompt must be integers \(2, length\), got int64 of shape \(1, 2\)",
        ),
        ({"prompt": np.full((2, 2), 5.0)}, "prompt must be integers"),
        ({"prompt": np.array([[5, 4], [0, 4]])}, "got padding before a token"),
        ({"prompt": np.array([[5, END], [5, 4]])}, "prompt must not hold end_id=2"),
        ({"prompt": np.array([[5, -1], [5, 4]])}, "prompt must hold ids, at least 0, got -1"),
        ({"features": random_table(1, 6, 3)[:0]}, "features hold no item"),
    ],
)
def test_bad_input(arguments, message):
    arguments = {"features": random_table(2, 6, 3), "max_length": 3, **IDS, **arguments}
    with pytest.raises(ValueError, match=message):
        generate(Table(), **arguments)


def test_decoder_without_weights_and_too_long_a_text(transformer):
    decoder, features, _ = transformer
    with pytest.raises(ValueError, match="no weights yet"):
        generate(FeatureDecoder(vocabulary_size=7), features, **IDS, max_length=3)
    with pytest.raises(ValueError, match="length must be from 1 to max_length=6, got 7"):
        generate(decoder, features, **IDS, max_length=7)
