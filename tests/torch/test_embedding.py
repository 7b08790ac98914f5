"""NEFTune with the true length under padding and packing, and hooks that leave no trace."""

import copy

import pytest
import torch
from torch import nn

from hormesis.errors import DataError, ModelError
from hormesis.torch.layers.embedding import EmbeddingNoise, noisy_embeddings, true_lengths

PADDED = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
PACKED = torch.tensor([[0, 1, 2, 3, 0, 1]])


def test_neftune_scales_by_the_true_length_under_padding():
    noise = EmbeddingNoise(6.0, generator=0)(torch.zeros(2, 6, 4000), attention_mask=PADDED)
    want = 6 / (torch.tensor([6.0, 2.0]) * 4000).sqrt()
    assert noise[1, 2:].abs().max() == 0
    for row, n in ((0, 6), (1, 2)):
        most = noise[row, :n].abs().max()
        assert 0.995 * want[row] < most <= want[row]


def test_neftune_scales_by_the_true_length_under_packing():
    x = torch.zeros(1, 6, 4000)
    ids = torch.tensor([[5, 5, 5, 5, 9, 9]])
    for noise in (
        EmbeddingNoise(6.0, generator=0)(x, position_ids=PACKED),
        EmbeddingNoise(6.0, generator=0)(x, sequence_ids=ids),
    ):
        for tokens, n in ((noise[0, :4], 4), (noise[0, 4:], 2)):
            want = 6 / (n * 4000) ** 0.5
            assert 0.995 * want < tokens.abs().max() <= want


def test_true_lengths_of_left_padding_and_padded_packs():
    x = torch.zeros(1, 6, 1)
    left = torch.tensor([[0, 0, 1, 1, 1, 1]])
    positions = torch.tensor([[1, 1, 0, 1, 2, 3]])
    assert true_lengths(x, left, positions).tolist() == [[0, 0, 4, 4, 4, 4]]
    pack = torch.tensor([[1, 1, 1, 1, 1, 0]])
    assert true_lengths(x, pack, torch.tensor([[0, 1, 0, 1, 2, 0]])).tolist() == [[2, 2, 3, 3, 3, 0]]
    with pytest.raises(DataError, match="attention_mask"):
        true_lengths(x, torch.ones(1, 5))


class Reader(nn.Module):
    """A model that is called as Hugging Face's are."""

    def __init__(self, padding_idx=None):
        super().__init__()
        self.words, self.places = nn.Embedding(9, 400, padding_idx), nn.Embedding(6, 400)

    def get_input_embeddings(self):
        return self.words

    def forward(self, input_ids, attention_mask=None, position_ids=None):
        if input_ids.max() > 7:
            raise RuntimeError("broken batch")
        return self.words(input_ids)


@pytest.mark.parametrize("call", ["keyword", "positional", "padding", "bool"])
def test_noisy_embeddings_finds_the_true_length(call):
    model = Reader(padding_idx=0)
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 0, 0, 0, 0]])
    clean = model(tokens)
    calls = {
        "keyword": lambda: model(tokens, attention_mask=PADDED),
        "positional": lambda: model(tokens, PADDED),
        "padding": lambda: model(tokens),
        "bool": lambda: model(input_ids=tokens, attention_mask=PADDED.bool()),
    }
    with noisy_embeddings(model, 6.0, generator=0):
        noise = (calls[call]() - clean).detach()
    assert noise[1, 2:].abs().max() == 0
    assert 0.98 < noise[1].abs().max() * (2 * 400) ** 0.5 / 6 < 1.001
    assert 0.98 < noise[0].abs().max() * (6 * 400) ** 0.5 / 6 < 1.001


def test_noisy_embeddings_under_packing():
    model, tokens = Reader(), torch.ones(1, 6, dtype=torch.int64)
    clean = model(tokens)
    with noisy_embeddings(model, 6.0, generator=0):
        noise = (model(tokens, position_ids=PACKED) - clean).detach()
    assert 0.98 < noise[0, 4:].abs().max() * (2 * 400) ** 0.5 / 6 < 1.001


def test_noisy_embeddings_of_a_model_that_takes_a_mapping():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.reader = Reader()

        def forward(self, batch):
            return self.reader.words(batch["input_ids"])

    model, tokens = Wrapped(), torch.ones(2, 6, dtype=torch.int64)
    clean = model({"input_ids": tokens})
    with noisy_embeddings(model, 6.0, embedding="reader.words"):
        noise = model({"input_ids": tokens, "attention_mask": PADDED}) - clean
    assert noise[1, 2:].abs().max() == 0


def hooks(model):
    return [
        len(h)
        for m in model.modules()
        for h in (
            m._forward_hooks,
            m._forward_pre_hooks,
            m._forward_hooks_with_kwargs,
            m._forward_hooks_always_called,
        )
    ]


def test_noisy_embeddings_is_removed_exactly_also_after_an_exception():
    model, tokens = Reader(), torch.tensor([[1, 2, 3]])
    before, state = hooks(model), copy.deepcopy(model.state_dict())
    with noisy_embeddings(model, 5.0) as noisy:
        assert sum(hooks(model)) > 0
        with pytest.raises(RuntimeError, match="broken"):
            model(tokens + 6)
        assert noisy._seen == {}
    assert hooks(model) == before
    assert all(state[k].equal(v) for k, v in model.state_dict().items())
    assert model(tokens).equal(model.words(tokens))
    with pytest.raises(RuntimeError, match="broken"), noisy_embeddings(model, 5.0):
        model(tokens + 6)
    assert hooks(model) == before


def test_noisy_embeddings_are_silent_in_evaluation_and_survive_a_copy():
    model, tokens = Reader(), torch.tensor([[1, 2, 3]])
    clean = model(tokens)
    noisy = noisy_embeddings(model, 5.0, generator=0)
    twin = copy.deepcopy(model)
    assert not twin(tokens).equal(clean)
    assert twin(tokens).shape == clean.shape
    assert model.eval()(tokens).equal(clean)
    noisy.noise.always = True
    assert not model(tokens).equal(clean)
    assert list(model.state_dict()) == list(Reader().state_dict())
    noisy.remove()
    assert model.train()(tokens).equal(clean)


def test_noisy_embeddings_asks_which():
    model = nn.Sequential(nn.Embedding(3, 2), nn.Embedding(3, 2))
    with pytest.raises(ModelError, match="name one"):
        noisy_embeddings(model, 5.0)
    with pytest.raises(ModelError, match="has 0 embeddings"):
        noisy_embeddings(nn.Linear(2, 2), 5.0)
    noisy_embeddings(model, 5.0, embedding="1").remove()
    with pytest.raises(DataError, match="length, d"):
        EmbeddingNoise(1.0)(torch.zeros(3, 2))
