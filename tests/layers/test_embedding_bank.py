import numpy as np
import pytest

from contrast.layers import EmbeddingBank


@pytest.fixture
def bank():
    bank = EmbeddingBank(2)
    bank.add("Ann", [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    bank.add("Bob", [0.0, -2.0])
    bank.add(7, [[3.0, 0.1]])
    bank.add("Ann", [0.9, 0.1])
    return bank


def test_adds_in_order_and_copies(bank):
    assert bank.keys() == ("Ann", "Bob", 7)
    assert len(bank) == 3 and "Ann" in bank and "7" not in bank
    np.testing.assert_allclose(bank["Ann"][:, 0], [1.0, 0.8, 0.6, 0.9])
    bank["Ann"][:] = 0
    assert bank["Ann"][0, 0] == 1


def test_mean_and_medoid(bank):
    np.testing.assert_allclose(bank.mean(["Bob", "Ann"]), [[0, -2], [0.825, 0.375]], rtol=1e-6)
    stored = bank["Ann"]
    units = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    central = max(range(4), key=lambda i: sum(float(units[i] @ units[j]) for j in range(4)))
    np.testing.assert_array_equal(bank.medoid(["Ann", 7])[0], stored[central])
    assert bank.mean([]).shape == (0, 2)


def test_random_is_a_function_of_the_seed(bank):
    draws = np.stack([bank.random(["Ann", "Bob"], seed) for seed in range(40)])
    np.testing.assert_array_equal(draws[3], bank.random(["Ann", "Bob"], 3))
    assert {tuple(row) for row in draws[:, 0]} == {tuple(row) for row in bank["Ann"]}


def test_nearest(bank):
    found = bank.nearest([[5.0, 0.0], [0.1, -0.2], [0.0, 0.0]])
    assert found.keys[:2] == ("Ann", "Bob")
    np.testing.assert_allclose(found.similarities, [1.0, 0.8**0.5, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(found.embeddings[1], [0.0, -2.0])
    assert bank.nearest([1.0, 0.0], keys=["Bob", 7]).keys == (7,)


def test_a_deleted_key_leaves_nothing(bank, tmp_path):
    bank.delete("Ann")
    assert bank.keys() == ("Bob", 7)
    assert bank.nearest([1.0, 0.0]).keys == (7,)
    bank.save(tmp_path / "bank.npz")
    assert b"Ann" not in (tmp_path / "bank.npz").read_bytes()
    with pytest.raises(KeyError, match="no embeddings of 'Ann'"):
        bank.delete("Ann")


def test_save_and_load(bank, tmp_path):
    bank.add("Zoë, née O'Neil", [1.0, 1.0])
    path = tmp_path / "people.bank"
    bank.save(path)
    loaded = EmbeddingBank.load(path)
    assert loaded.keys() == bank.keys() and loaded.dim == 2
    for key in bank.keys():  # noqa: SIM118
        np.testing.assert_array_equal(loaded[key], bank[key])
    assert [file.name for file in tmp_path.iterdir()] == ["people.bank"]

    EmbeddingBank(5).save(path)
    assert EmbeddingBank.load(path).dim == 5 and len(EmbeddingBank.load(path)) == 0


def test_load_refuses_other_files(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("not an archive")
    np.savez(tmp_path / "pickled.npz", keys=np.array([{"a": 1}], dtype=object))
    for name in ("other", "text", "pickled"):
        with pytest.raises(ValueError, match=f"{name}.npz is not an embedding bank"):
            EmbeddingBank.load(tmp_path / f"{name}.npz")
    with pytest.raises(FileNotFoundError):
        EmbeddingBank.load(tmp_path / "missing.npz")


@pytest.mark.parametrize("method", ["mean", "medoid", "nearest", "random"])
def test_unknown_keys(bank, method):
    arguments = {"nearest": ([1.0, 0.0], ["Anna"]), "random": (["Anna"], 0)}.get(method, (["Anna"],))
    with pytest.raises(KeyError, match="no embeddings of 'Anna'; similar: Ann"):
        getattr(bank, method)(*arguments)


def test_bad_input(bank):
    for embeddings in ([1.0, 2.0, 3.0], np.zeros((2, 2, 2)), 1.0):
        with pytest.raises(ValueError, match="embeddings must be"):
            bank.add("Ann", embeddings)
    with pytest.raises(ValueError, match="finite"):
        bank.add("Ann", [np.nan, 0.0])
    for key in (1.5, True, ("a",)):
        with pytest.raises(TypeError, match="key must be"):
            bank.add(key, [0.0, 0.0])
    with pytest.raises(TypeError, match="write \\['Ann'\\]"):
        bank.mean("Ann")
    with pytest.raises(ValueError, match="at least one key"):
        EmbeddingBank(2).nearest([0.0, 1.0])
    with pytest.raises(ValueError, match="dim"):
        EmbeddingBank(0)
