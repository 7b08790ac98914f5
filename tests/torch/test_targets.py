"""One loss for mixed targets, whatever the criterion: classes, one logit, many labels, numbers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hormesis.torch.batches.mix import mixup
from hormesis.torch.batches.targets import MixedTarget, label_smoothing


def rows(shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def classes(n, k=4):
    return torch.randint(k, (n,), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_dense_targets_are_timms(smoothing):
    y = classes(9)
    _, target = mixup(rows((9, 2)), y, generator=0)

    def hot(labels):
        on, off = 1 - smoothing + smoothing / 4, smoothing / 4
        return torch.full((9, 4), off).scatter_(1, labels[:, None], on)

    lam = target.weight[:, None]
    assert target.soft(4, smoothing).allclose(hot(y) * lam + hot(y[target.partner]) * (1 - lam))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_of_classes_is_the_loss_of_dense_targets(reduction):
    out = rows((9, 4))
    _, target = mixup(rows((9, 2)), classes(9), generator=0)
    loss = nn.CrossEntropyLoss(reduction=reduction)
    assert target.loss(loss, out).allclose(loss(out, target.soft(4)), atol=1e-6)
    assert loss.reduction == reduction
    smooth = nn.CrossEntropyLoss(label_smoothing=0.1, reduction=reduction)
    assert target.loss(smooth, out).allclose(loss(out, target.soft(4, 0.1)), atol=1e-6)


CRITERIA = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0])),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0]), ignore_index=2, reduction="sum"),
    nn.CrossEntropyLoss(ignore_index=2),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0]), label_smoothing=0.2),
    nn.MultiMarginLoss(),
    F.cross_entropy,
    lambda out, y: F.cross_entropy(out, y, reduction="none"),
]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_without_mixing_the_loss_is_the_plain_one(criterion):
    out, y = rows((9, 4)), classes(9)
    _, target = mixup(rows((9, 2)), y, 0.0)
    assert target.loss(criterion, out).allclose(criterion(out, y).mean())


def test_loss_of_one_logit_and_of_many_labels():
    y = classes(9, 2)
    _, target = mixup(rows((9, 2)), y, generator=0)
    out, want = rows((9,)), target.weight * y + (1 - target.weight) * y[target.partner]
    assert target.loss(nn.BCEWithLogitsLoss(), out).allclose(F.binary_cross_entropy_with_logits(out, want))
    assert target.loss(nn.BCEWithLogitsLoss(), out[:, None]).allclose(
        F.binary_cross_entropy_with_logits(out, want)
    )
    labels = (rows((9, 3)) > 0).long()
    _, target = mixup(rows((9, 2)), labels, generator=0)
    assert target.loss(nn.BCEWithLogitsLoss(), rows((9, 3))).allclose(
        F.binary_cross_entropy_with_logits(rows((9, 3)), target.blended)
    )


def test_dense_float_targets_are_blended_and_smoothed():
    dense = F.one_hot(classes(9), 4).float()
    _, target = mixup(rows((9, 5)), dense, generator=0)
    _, same = mixup(rows((9, 5)), classes(9), generator=0)
    assert target.soft(4, 0.1).allclose(same.soft(4, 0.1))
    assert target.loss(nn.CrossEntropyLoss(), rows((9, 4))).allclose(
        same.loss(nn.CrossEntropyLoss(), rows((9, 4)))
    )


def test_label_smoothing_identity():
    """CE with smoothed targets is (1 - e) CE(y) + e CE(uniform): Szegedy 2016."""
    out, y, e = rows((9, 4)), classes(9), 0.3
    uniform = -out.log_softmax(1).mean(1).mean()
    smooth = F.cross_entropy(out, label_smoothing(y, e, num_classes=4))
    assert smooth.allclose((1 - e) * F.cross_entropy(out, y) + e * uniform)
    assert smooth.allclose(F.cross_entropy(out, y, label_smoothing=e))
    assert label_smoothing(torch.tensor([0.0, 1.0]), 0.2).tolist() == pytest.approx([0.1, 0.9])
    assert label_smoothing(y, 0.0, num_classes=4).equal(F.one_hot(y, 4).float())


def test_a_record_made_by_hand():
    y = MixedTarget(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.25]), torch.tensor([0]))
    assert y.soft(2).tolist() == [[0.25, 0.75]]
    assert y.blended.tolist() == [0.75]
