import json

import numpy as np
import pytest

from applications.sign_translation.text import SPECIALS, SentenceTokenizer
from contrast.data.sentence_noise import WordMasking

pytestmark = pytest.mark.once

SENTENCES = [
    "rain in the north",
    "heavy rain in the mountains",
    "fog in the south",
    "the northern mountains have rain and fog",
]
CHINESE = ["今天北方有雨", "明天南方有雾", "今天 有雨"]


def fitted(level, sentences=None, **options):
    sentences = sentences or (CHINESE if level == "character" else SENTENCES)
    return SentenceTokenizer.fit(sentences, level, **options), sentences


@pytest.mark.parametrize("level", ["word", "subword", "character"])
def test_sentences_come_back(level, tmp_path):
    tokenizer, sentences = fitted(level)
    ids = tokenizer.encode(sentences)
    assert ids.dtype == np.int32
    assert tokenizer.decode(ids) == sentences
    for row in ids:
        content = row[row != 1]
        assert content[-2:].tolist() == [2, tokenizer.language_id]
        assert content.max() == tokenizer.language_id == tokenizer.size - 1
        assert (row[len(content) :] == 1).all()
        assert content[:-2].min() > 4
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = SentenceTokenizer.load(tmp_path / "tokenizer.json")
    np.testing.assert_array_equal(loaded.encode(sentences), ids)
    assert (loaded.size, loaded.level, loaded.language) == (tokenizer.size, level, "en_XX")
    again = SentenceTokenizer(tokenizer.definition, level, "en_XX")
    np.testing.assert_array_equal(again.encode(sentences), ids)


def test_word_vocabulary_is_ordered_by_frequency():
    tokenizer, _ = fitted("word")
    assert tokenizer.size == len(SPECIALS) + len(set(" ".join(SENTENCES).split())) + 1
    assert tokenizer.encode(["the"]).tolist() == [[5, 2, tokenizer.language_id]]
    small, _ = fitted("word", size=8)
    assert small.size == 8


def test_characters_are_single_tokens():
    tokenizer, _ = fitted("character")
    assert tokenizer.encode(["今天有雨"]).shape == (1, 4 + 2)
    assert tokenizer.decode(tokenizer.encode(["今天 有雨"])) == ["今天 有雨"]


def test_pieces_are_shared_and_say_which_word_they_belong_to():
    tokenizer, _ = fitted("subword", size=40)
    assert tokenizer.size <= 40
    ids, words = tokenizer.encode(["northern rains"], with_words=True)
    assert tokenizer.decode(ids) == ["northern rains"]
    assert (words[0] == 0).sum() > 1 and (words[0] == 1).sum() > 1
    np.testing.assert_array_equal(words[0, -2:], -1)
    masked = WordMasking(0.5, kept_ids=(2, tokenizer.language_id))(ids, np.random.default_rng(0), words)
    assert (masked == 4).sum() == 1 and tokenizer.decode(masked) == ["northern"]


def test_pieces_are_the_same_every_time():
    one, other = (fitted("subword", size=60)[0].encode(SENTENCES) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("level", "unknown"), [("word", "snow in the north"), ("character", "今夜")])
def test_unknown_words_are_counted(level, unknown, caplog):
    tokenizer, _ = fitted(level)
    ids = tokenizer.encode([unknown])
    assert (ids == 3).sum() == 1
    assert "1 of" in caplog.text and "in 1 of 1 sentences" in caplog.text
    assert tokenizer.decode(ids) == [unknown.replace("snow ", "").replace("夜", "")]


@pytest.mark.parametrize("level", ["subword", "character"])
def test_rare_characters_are_unknown(level):
    sentences = ["aaaa bbbb"] * 100 + ["aaaq"]
    covered, _ = fitted(level, sentences, character_coverage=0.998)
    assert (covered.encode(["q"]) == 3).any()
    assert not (fitted(level, sentences)[0].encode(["q"]) == 3).any()


def test_decoding_stops_at_the_end_and_leaves_special_tokens_out():
    tokenizer, _ = fitted("word")
    (north, fog) = tokenizer.encode(["north fog"])[0, :2].tolist()
    ids = [
        [0, north, 4, 3, fog, 2, north, tokenizer.language_id],
        [tokenizer.language_id, fog, *[1] * 5, 999],
    ]
    assert tokenizer.decode(ids) == ["north fog", "fog"]


def test_length_is_given_or_that_of_the_longest():
    tokenizer, _ = fitted("word")
    assert tokenizer.encode(SENTENCES).shape == (4, 9)
    assert tokenizer.encode(SENTENCES, length=12).shape == (4, 12)
    with pytest.raises(ValueError, match="length must be at least 9, got 8: sentence 3"):
        tokenizer.encode(SENTENCES, length=8)
    assert tokenizer.encode([""]).tolist() == [[2, tokenizer.language_id]]


@pytest.mark.golden
def test_decoder_input_matches_official_code(golden):
    from contrast.decoding import last_tokens, shift_right

    case = golden("sign_translation")
    ids = case["tgt_ids"]
    np.testing.assert_array_equal(shift_right(ids, last_tokens(ids, 1)), case["tgt_decoder_ids"])
    np.testing.assert_array_equal((ids != 1).sum(axis=1) - 1, case["tgt_pool_position"])
    np.testing.assert_array_equal(ids.argmax(axis=1), case["tgt_pool_position"])


def test_special_tokens_in_text_are_refused():
    tokenizer, _ = fitted("word")
    with pytest.raises(ValueError, match=r"sentences\[1\] must not hold the special token '</s>'"):
        tokenizer.encode(["fog", "fog </s> rain"])
    with pytest.raises(ValueError, match="special token 'en_XX'"):
        SentenceTokenizer.fit(["fog en_XX"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentences": [" "]}, "at least one that is not empty"),
        ({"sentences": []}, "at least one that is not empty"),
        ({"level": "letter"}, "word, subword, character, got 'letter'"),
        ({"size": 3}, "size must be at least 7, got 3"),
        ({"character_coverage": 0}, "above 0 and at most 1, got 0"),
        ({"language": "a b"}, "language must be a code"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SentenceTokenizer.fit(**{"sentences": SENTENCES, **arguments})
    with pytest.raises(TypeError, match="must be a list of strings"):
        SentenceTokenizer.fit("rain")


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    for content in ("{", "[]", '{"level": "word"}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="tokenizer.json is no saved tokenizer"):
            SentenceTokenizer.load(path)
    fitted("word")[0].save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "language": "de_DE"}))
    with pytest.raises(ValueError, match="must have the special tokens"):
        SentenceTokenizer.load(path)
    path.write_text(json.dumps({**content, "tokenizer": {}}))
    with pytest.raises(ValueError, match="definition is no tokenizer"):
        SentenceTokenizer.load(path)
