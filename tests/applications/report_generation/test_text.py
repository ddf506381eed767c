import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from applications.report_generation.study import PriorVisit, Study, View
from applications.report_generation.text import SPECIALS, ReportTokenizer, study_texts

pytestmark = pytest.mark.once

PAD, BOS, EOS, CLS, SEP, MASK, UNK, NHI, NHPR = range(9)
REPORTS = [
    "Small left pleural effusion, increased from prior.",
    "There is no pleural effusion or pneumothorax.",
    "The heart measures 1.5 times the right-sided width (enlarged).",
]
FACTS = [["small left pleural effusion", "increased"], ["no pneumothorax"]]


@pytest.fixture(scope="module")
def tokenizer():
    return ReportTokenizer.fit([*REPORTS, *FACTS[0], *FACTS[1], "fever, cough"])


def byte_level(tmp_path):
    """A file of pieces of bytes with an end of text, as GPT-2's is."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    pieces.train_from_iterator(REPORTS * 3, trainer)
    pieces.add_special_tokens(["<|endoftext|>"])
    pieces.enable_truncation(3)
    pieces.save(str(tmp_path / "gpt2.json"))
    return pieces, tmp_path / "gpt2.json"


def test_reports_come_back_in_lower_case(tokenizer):
    ids = tokenizer.encode_findings(REPORTS)
    assert ids.shape == (3, 100) and ids.dtype == np.int32
    assert tokenizer.decode(ids) == [report.lower() for report in REPORTS]
    for row in ids:
        content = row[row != PAD]
        assert content[0] == BOS and content[-1] == EOS
        assert content[1:-1].min() >= len(SPECIALS)
        assert (row[len(content) :] == PAD).all()
    assert tokenizer.encode_findings(REPORTS, max_length=None).shape == (3, 14)


def test_marks_are_words_of_their_own_and_the_rest_stays_whole(tokenizer):
    def words(text):
        ids = tokenizer.encode_findings([text], max_length=None)[0, 1:-1]
        return tokenizer.decode(ids[:, None])

    assert words(REPORTS[0])[-4:] == ["increased", "from", "prior", "."]
    assert {"1.5", "right-sided", "(", "enlarged", ")"} <= set(words(REPORTS[2]))
    known = {word for text in [*REPORTS, "fever, cough"] for word in words(text)}
    assert tokenizer.size == len(SPECIALS) + len(known)


def test_rare_words_are_unknown(caplog):
    tokenizer = ReportTokenizer.fit(["no effusion", "no nodule", "no effusion"], fewest=2)
    assert tokenizer.size == len(SPECIALS) + 2
    assert tokenizer.encode_findings(["no nodule"], max_length=None).tolist() == [[BOS, 9, UNK, EOS]]
    assert "1 of 2 tokens are not in the vocabulary" in caplog.text
    assert tokenizer.decode(np.array([[BOS, 9, UNK, 10, EOS, 9, PAD]])) == ["no effusion"]


def test_long_reports_lose_their_end(tokenizer, caplog):
    ids = tokenizer.encode_findings(REPORTS, max_length=11)
    assert ids.shape == (3, 11) and ids[2, -1] == EOS
    assert [one.message for one in caplog.records] == [
        "1 of 3 reports are longer than 11 tokens and are cut."
    ]
    assert tokenizer.decode(ids)[2] == "the heart measures 1.5 times the right-sided width ("
    cut = tokenizer.cut(REPORTS, max_length=11)
    assert cut == [*REPORTS[:2], "the heart measures 1.5 times the right-sided width ("]


def test_facts_are_separated(tokenizer):
    ids = tokenizer.encode_facts(FACTS, max_length=12)
    assert ids.shape == (2, 12)
    assert ids[0, [0, 5, 7]].tolist() == [CLS, SEP, SEP] and (ids[0] == SEP).sum() == 2
    assert ids[1, :4].tolist() == [CLS, *tokenizer.encode_findings(["no pneumothorax"])[0, 1:3], SEP]
    short = tokenizer.encode_facts(FACTS, max_length=5)
    assert short[0, -1] == SEP and (short[0] == SEP).sum() == 1


def test_prompts_have_two_segments(tokenizer):
    ids, segments = tokenizer.encode_prompts(["fever, cough"], [FACTS[0]], max_length=20)
    assert ids.shape == segments.shape == (1, 20) and segments.dtype == np.int32
    assert np.flatnonzero(ids[0] == SEP).tolist() == [4, 9, 11]
    assert segments[0].tolist() == [0] * 5 + [1] * 7 + [0] * 8
    assert ids[0, 0] == CLS


def test_what_is_missing_has_tokens_or_nothing(tokenizer):
    ids, segments = tokenizer.encode_prompts([None, " ", "fever"], [None, (), [" "]], max_length=None)
    fever = tokenizer.encode_findings(["fever"])[0, 1]
    assert ids.tolist() == [[CLS, NHI, SEP, NHPR, SEP]] * 2 + [[CLS, fever, SEP, NHPR, SEP]]
    assert segments.tolist() == [[0, 0, 0, 1, 1]] * 3
    ids, segments = tokenizer.encode_prompts([None, "fever"], [None, None], None, absence="empty")
    assert ids.tolist() == [[CLS, SEP, PAD], [CLS, fever, SEP]]
    assert not segments.any()


def test_a_long_indication_leaves_room_for_facts(tokenizer, caplog):
    ids, segments = tokenizer.encode_prompts(["fever " * 50], [FACTS[0]], max_length=16)
    assert np.flatnonzero(ids[0] == SEP).tolist() == [7, 12, 14]
    assert segments[0].sum() == 7
    ids, _ = tokenizer.encode_prompts(["fever"], [FACTS[0] * 5], max_length=16)
    assert ids[0, -1] == SEP
    assert "1 of 1 prompts are longer than 16 tokens" in caplog.text


def test_names_of_special_tokens_in_a_text_are_plain_text(tokenizer, tmp_path):
    _, path = byte_level(tmp_path)
    for one in (tokenizer, ReportTokenizer.load(path)):
        ids, segments = one.encode_prompts(["[SEP] [NHPR]"], [None], max_length=None)
        assert (ids == SEP).sum() == 2 and (ids == NHPR).sum() == 1
        assert segments[0, -2:].tolist() == [1, 1]


def test_saved_and_loaded(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = ReportTokenizer.load(tmp_path / "tokenizer.json")
    assert loaded == tokenizer == ReportTokenizer(tokenizer.definition)
    assert hash(loaded) == hash(tokenizer)
    np.testing.assert_array_equal(loaded.encode_findings(REPORTS), tokenizer.encode_findings(REPORTS))
    assert loaded != ReportTokenizer.fit(REPORTS[:1]) and loaded != "tokenizer"


def test_pieces_of_bytes_get_the_special_tokens_in_front(tmp_path):
    pieces, path = byte_level(tmp_path)
    tokenizer = ReportTokenizer.load(path)
    assert tokenizer.size == pieces.get_vocab_size() + len(SPECIALS)
    ids = tokenizer.encode_findings(REPORTS)
    assert tokenizer.decode(ids) == [report.lower() for report in REPORTS]
    pieces.no_truncation()
    lowered = [report.lower() for report in REPORTS]
    for row, encoding in zip(ids, pieces.encode_batch(lowered), strict=True):
        assert row[1 : 1 + len(encoding.ids)].tolist() == [token + len(SPECIALS) for token in encoding.ids]
    assert tokenizer.decode(tokenizer.encode_findings(["Überraschung"])) == ["überraschung"]
    tokenizer.save(tmp_path / "again.json")
    assert ReportTokenizer.load(tmp_path / "again.json") == tokenizer
    assert tokenizer.cut(["effusion, increased"], max_length=100) == ["effusion, increased"]


def test_special_tokens_that_a_file_has_move(tmp_path):
    vocabulary = {"[PAD]": 0, "lungs": 1, "[UNK]": 2, "[CLS]": 3, "[SEP]": 4, "clear": 5, "##ed": 6}
    bert = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    bert.pre_tokenizer = pre_tokenizers.Whitespace()
    bert.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[UNK]"])
    bert.post_processor = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3))
    bert.decoder = decoders.WordPiece()
    tokenizer = ReportTokenizer(bert.to_str())
    assert tokenizer.size == len(SPECIALS) + 3
    ids = tokenizer.encode_findings(["lungs cleared nodule"], max_length=None)
    assert ids.tolist() == [[BOS, 9, 10, 11, UNK, EOS]]
    assert tokenizer.decode(ids) == ["lungs cleared"]


def test_unigrams(tmp_path):
    unigrams = Tokenizer(
        models.Unigram([("<unk>", 0.0), ("lungs", -1.0), (" ", -1.0), ("clear", -2.0)], 0, False)
    )
    tokenizer = ReportTokenizer(unigrams.to_str())
    ids = tokenizer.encode_findings(["lungs clear", "[PAD]"], max_length=None)
    assert ids[0].tolist() == [BOS, 10, 11, 12, EOS]
    assert UNK in ids[1] and ids[1, 1] != PAD


def test_texts_of_studies():
    view = View(np.zeros((2, 2), "uint8"))
    prior = PriorVisit(findings="d", facts=("e",))
    studies = [Study("1", "p", [view], "a", ("b",), "c", prior), Study("2", "p", [view])]
    assert study_texts(studies) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda it: it.encode_findings(["a", " "]), ValueError, r"texts\[1\] must be a report, got an empty"),
        (lambda it: it.encode_findings("a"), TypeError, "texts must be a list of strings"),
        (lambda it: it.encode_findings([None]), TypeError, r"texts\[0\] must be a string, got NoneType"),
        (lambda it: it.encode_findings(["a"], 2), ValueError, "max_length must be at least 4, got 2"),
        (lambda it: it.encode_facts([["a"], []]), ValueError, r"facts\[1\] must hold at least one fact"),
        (lambda it: it.encode_facts(["a"]), TypeError, r"facts\[0\] must be a list of facts"),
        (lambda it: it.encode_prompts([None], []), ValueError, "of the same studies, got 1 and 0"),
        (lambda it: it.encode_prompts([], [], absence="zeros"), ValueError, "tokens, empty, got 'zeros'"),
        (lambda it: it.fit([" "]), ValueError, "at least one word 1 times, got none"),
        (lambda it: it.fit(["a"], 0), ValueError, "fewest must be positive, got 0"),
    ],
)
def test_wrong_arguments(call, error, message, tokenizer):
    with pytest.raises(error, match=message):
        call(tokenizer)


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    for content in ("{", "[]", "{}", json.dumps({"model": {"vocab": 3}, "added_tokens": []})):
        path.write_text(content)
        with pytest.raises(ValueError, match="tokenizer.json is no saved tokenizer"):
            ReportTokenizer.load(path)
    with pytest.raises(ValueError, match="missing.json is no saved tokenizer"):
        ReportTokenizer.load(tmp_path / "missing.json")
