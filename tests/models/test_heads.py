"""Many heads at once equal each head alone."""

import torch
import torch.nn.functional as F

from reidlib.models.heads import Heads, identity_losses


def test_heads_equal_a_loop_over_parts():
    heads = Heads(3, 10, 4, 7)
    with torch.no_grad():
        heads.bias.normal_()
        heads.norm.weight.uniform_(0.5, 2)
    pooled, label = torch.randn(6, 3, 10), torch.tensor([0, 6, 1, 1, 3, 5])
    feature = heads(pooled)
    logits = heads.logits(feature)
    losses = identity_losses(logits, label)
    assert feature.shape == (6, 3, 4)
    assert logits.shape == (6, 3, 7)
    for k in range(3):
        reduced = pooled[:, k] @ heads.reduction[k]
        scale, shift = heads.norm.weight[4 * k : 4 * k + 4], heads.norm.bias[4 * k : 4 * k + 4]
        alone = F.batch_norm(reduced, None, None, scale, shift, training=True)
        torch.testing.assert_close(feature[:, k], alone)
        scores = alone @ heads.classifier[k] + heads.bias[k]
        torch.testing.assert_close(logits[:, k], scores)
        torch.testing.assert_close(losses[k], F.cross_entropy(scores, label))
