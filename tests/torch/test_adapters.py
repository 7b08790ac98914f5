import builtins
import importlib
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hormesis.errors import DataError, MissingExtraError, SettingError
from hormesis.torch.adapters import timm as timm_form
from hormesis.torch.adapters.loop import NoisyBatches
from hormesis.torch.attacks.gradient import PGD
from hormesis.torch.batches.mix import cutmix, mixup
from hormesis.torch.layers.cells import GaussianNoise, Masking

# Lightning's own: it calls torch's old name of a test, and counts the machine's cores
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
]


def data(n=20, d=4):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=rng)
    return TensorDataset(x, (x[:, 0] > 0).long())


def test_plain_loop_has_other_noise_per_epoch_and_the_same_again():
    batches = list(DataLoader(data(), batch_size=7, generator=torch.Generator()))
    before = [x.clone() for x, _ in batches]
    state = torch.get_rng_state()
    loader, again = (NoisyBatches(batches, GaussianNoise(0.5), mixup, seed=3) for _ in range(2))
    first, second = list(loader), list(loader)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, old) for (x, _), old in zip(batches, before, strict=True))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    again.epoch = 1
    assert all(torch.equal(a[0], b[0]) for a, b in zip(second, again, strict=True))


def test_plain_loop_trains_adversarially():
    model = nn.Linear(4, 2)

    def worst(x, y, generator):
        return PGD(0.1, steps=2).perturb(model, x, y, generator=generator)

    batches = list(DataLoader(data(), batch_size=10, generator=torch.Generator()))
    for (x, _), (moved, y) in zip(batches, NoisyBatches(batches, worst), strict=True):
        assert (moved - x).abs().max() <= 0.1 + 1e-6
        assert nn.functional.cross_entropy(model(moved), y) >= nn.functional.cross_entropy(model(x), y)


def test_rest_of_a_batch_is_passed_on():
    ((x, y, z),) = NoisyBatches([(torch.zeros(2, 3), torch.zeros(2), "more")], GaussianNoise(1.0))
    assert (z, x.shape, y.shape) == ("more", (2, 3), (2,))
    assert not torch.equal(x, torch.zeros(2, 3))


def lightning_run(*callbacks, epochs=2, seed=0):
    import lightning
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(GaussianNoise(0.1), nn.Linear(4, 2))
            self.seen = {"train": [], "val": [], "test": []}
            self.robust = []

        def training_step(self, batch, index):
            x, y = batch
            self.seen["train"].append(x.clone())
            out = self.net(x)
            return (
                y.loss(nn.CrossEntropyLoss(), out)
                if hasattr(y, "loss")
                else nn.functional.cross_entropy(out, y)
            )

        def validation_step(self, batch, index):
            self.seen["val"].append(batch[0].clone())

        def test_step(self, batch, index):
            assert torch.is_inference_mode_enabled()
            self.seen["test"].append(batch[0].clone())
            found = PGD(0.5, steps=3).run(self.net, batch[0], batch[1], progress=False)
            self.robust += [float(r) for r in found.robust_accuracy]

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Module()
        loader = DataLoader(data(), batch_size=8, generator=torch.Generator())
        trainer = lightning.Trainer(
            max_epochs=epochs, callbacks=list(callbacks), logger=False, enable_checkpointing=False, accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        trainer.fit(module, loader, loader)
        trainer.test(module, loader, verbose=False)
    return module


def clean_batches():
    return [x for x, _ in DataLoader(data(), batch_size=8, generator=torch.Generator())]


def test_lightning_noise_is_in_training_batches_alone():
    from hormesis.torch.adapters.lightning import NoisyBatches as Noisy

    module = lightning_run(Noisy(GaussianNoise(0.5), seed=1))
    clean = clean_batches()
    assert all(torch.equal(a, b) for a, b in zip(module.seen["val"], clean * 2, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(module.seen["test"], clean, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(module.seen["train"], clean * 2, strict=True))
    assert not torch.equal(module.seen["train"][0], module.seen["train"][3])


def test_lightning_adversarial_evaluation_works_in_inference_mode():
    module = lightning_run()
    assert len(module.robust) == 3
    assert all(0 <= r <= 1 for r in module.robust)


def test_same_seed_same_numbers_in_lightning_and_in_a_plain_loop():
    from hormesis.torch.adapters.lightning import NoisyBatches as Noisy

    module = lightning_run(Noisy(GaussianNoise(0.5), seed=1))
    twin = lightning_run(Noisy(GaussianNoise(0.5), seed=1))
    loader = NoisyBatches(
        list(DataLoader(data(), batch_size=8, generator=torch.Generator())), GaussianNoise(0.5), seed=1
    )
    plain = [x for _ in range(2) for x, _ in loader]
    assert all(torch.equal(a, b) for a, b in zip(module.seen["train"], plain, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), twin.parameters(), strict=True))


def test_lightning_takes_mixed_targets_and_refuses_tuples():
    from hormesis.torch.adapters.lightning import NoisyBatches as Noisy

    module = lightning_run(Noisy(mixup, seed=1), epochs=1)
    assert all(torch.isfinite(p).all() for p in module.parameters())
    callback, batch = Noisy(mixup), (torch.zeros(2, 3), torch.zeros(2))

    class Where:
        current_epoch, global_rank, world_size = 0, 0, 1

    with pytest.raises(DataError, match="The batch is a tuple"):
        callback.on_train_batch_start(Where(), nn.Linear(1, 1), batch, 0)


def tiny_bert():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BertForSequenceClassification(config)


def sentences():
    rng = np.random.default_rng(0)
    rows = []
    for length in (3, 5, 8, 8, 4, 6, 7, 3):
        ids = [*rng.integers(1, 29, length), *[0] * (8 - length)]
        rows.append(
            {"input_ids": ids, "attention_mask": [1] * length + [0] * (8 - length), "labels": length % 2}
        )
    return [{k: torch.tensor(v) for k, v in row.items()} for row in rows]


def hf_run(model, tmp_path, *callbacks, evaluate=True):
    from transformers import Trainer, TrainingArguments

    with torch.random.fork_rng(devices=[]):
        arguments = TrainingArguments(
            output_dir=str(tmp_path), num_train_epochs=2, per_device_train_batch_size=4, per_device_eval_batch_size=4,
            report_to=[], save_strategy="no", logging_strategy="no", use_cpu=True, disable_tqdm=True, seed=1,
            eval_strategy="epoch" if evaluate else "no", dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=sentences(),
            eval_dataset=sentences(),
            callbacks=list(callbacks),
        )
        trainer.train()
    return trainer


def watched(model):
    """Record embeddings and input ids that the model computes with, and whether it trained."""
    seen = []
    embeddings = model.bert.embeddings.word_embeddings

    def look(_, args, out):
        seen.append((model.training, args[0].clone(), out.detach() - embeddings.weight[args[0]].detach()))

    embeddings.register_forward_hook(look)
    return seen


def test_neftune_in_the_trainer_knows_true_lengths_and_leaves_evaluation_alone(tmp_path):
    from hormesis.torch.adapters.hf import TrainingNoise

    model, seen = tiny_bert(), None

    class Watch(TrainingNoise):
        def on_train_begin(self, *args, model=None, **kwargs):
            nonlocal seen
            super().on_train_begin(*args, model=model, **kwargs)
            seen = watched(model)

    hf_run(model, tmp_path, Watch(6.0, seed=0))
    training = [s for s in seen if s[0]]
    assert len(training) == 4
    assert len([s for s in seen if not s[0]]) == 4
    for _, ids, noise in training:
        lengths = (ids != 0).sum(1)
        bound = 6.0 / (lengths * 8).sqrt()
        assert not noise[ids == 0].any()
        assert (noise.abs().amax((1, 2)) <= bound * 1.0001).all()
        assert (noise.abs().amax((1, 2)) > bound * 0.5).all()
    assert not any(noise.any() for trains, _, noise in seen if not trains)


def test_token_masking_in_the_trainer_is_in_training_batches_alone(tmp_path):
    from hormesis.torch.adapters.hf import TrainingNoise

    model = tiny_bert()
    seen = watched(model)
    hf_run(model, tmp_path, TrainingNoise(inputs={"input_ids": Masking(0.5, value=29)}, seed=0))
    assert all((ids == 29).any() for trains, ids, _ in seen if trains)
    assert not any((ids == 29).any() for trains, ids, _ in seen if not trains)


def test_after_training_the_model_is_as_it_was_and_seeds_repeat(tmp_path):
    from hormesis.torch.adapters.hf import TrainingNoise

    models = []
    for seed in (0, 0, 1):
        models.append(tiny_bert())
        hf_run(models[-1], tmp_path, TrainingNoise(5.0, seed=seed), evaluate=False)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in models[0].modules())


@pytest.mark.parametrize("way", [mixup, cutmix])
def test_soft_targets_give_timms_loss(way):
    x, y = (
        torch.rand(7, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 2, 3, 0, 1, 2]),
    )
    _, target = way(x, y, 1.0, generator=0)
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    soft = timm_form.soft_targets(target, 4)
    soft_target_cross_entropy = torch.sum(-soft * logits.log_softmax(-1), dim=-1).mean()
    torch.testing.assert_close(soft_target_cross_entropy, target.loss(nn.CrossEntropyLoss(), logits))


def test_timm_form_takes_odd_batches_and_leaves_them_alone():
    x, y = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1])
    before, state = x.clone(), torch.get_rng_state()
    mix = timm_form.Mixup(0.8, 1.0, num_classes=3, label_smoothing=0.1, generator=0)
    made = [mix(x, y) for _ in range(6)]
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(t.shape == (5, 3) and torch.allclose(t.sum(1), torch.ones(5)) for _, t in made)
    assert all((t >= 0.1 / 3 - 1e-6).all() for _, t in made)


@pytest.mark.parametrize(("name", "package"), [("lightning", "lightning"), ("hf", "transformers")])
def test_missing_package_is_one_sentence(name, package, monkeypatch):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.split(".")[0] == package:
            raise ImportError(module)
        return real(module, *args, **kwargs)

    monkeypatch.delitem(sys.modules, f"hormesis.torch.adapters.{name}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=f"pip install {package}"):
        importlib.import_module(f"hormesis.torch.adapters.{name}")


def test_a_name_that_no_batch_holds_is_told_at_the_first_training_batch(tmp_path):
    from hormesis.torch.adapters.hf import TrainingNoise

    model = tiny_bert()
    with pytest.raises(SettingError, match=r"'input_id'.*`input_ids`.*Did you mean `input_ids`"):
        hf_run(model, tmp_path, TrainingNoise(5.0, inputs={"input_id": Masking(0.5, value=29)}))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())
