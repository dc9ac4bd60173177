"""What the last stage computes inside: inputs of the BatchNorm group and of pruning."""

import numpy as np

from qlib.weights.arguments import class_labels
from qlib.weights.features import batches_of, evaluating


def last_block_preactivations(model, images, *, size=64, batch_size=250):
    """Inputs of the last residual block's last scale and shift, and of its sum.

    feature_c = mean over positions of relu(γ_c u_c + β_c + skip_c), with γ, β the
    parameters that `batchnorm_parameters` returns: BatchNorm's running mean and
    variance are already taken off u.

    Parameters
    ----------
    model : torchvision ResNet
        Used in evaluation mode.
    images : (n, H, W, C) uint8 array
    size, batch_size : int
        As for `qlib.weights.features.features`.

    Returns
    -------
    u, skip : (n, c, P) float32 arrays
        P = h w positions: 4 at size 64.
    """
    _, norm = last_convolution(model.layer4[-1])
    block = model.layer4[-1]
    seen = _inputs(model, (norm, block), images, size, batch_size)
    mean = norm.running_mean.detach().cpu().numpy()[:, None]
    spread = (norm.running_var + norm.eps).sqrt().detach().cpu().numpy()[:, None]
    inner, skip = (values.reshape(*values.shape[:2], -1) for values in seen)
    return (inner - mean) / spread, skip


def batchnorm_parameters(model):
    """Scale γ and shift β, (c,) float64 each, of the last block's last BatchNorm."""
    _, norm = last_convolution(model.layer4[-1])
    parameters = (norm.weight, norm.bias)
    return tuple(p.detach().cpu().double().numpy() for p in parameters)


def block_activations(model, images, block="layer4.1", *, size=64, batch_size=250):
    """What a basic block's second convolution reads, and its kernel.

    Parameters
    ----------
    model : torchvision ResNet of basic blocks
        ResNet-18 or 34, used in evaluation mode.
    images, size, batch_size
        As for `last_block_preactivations`.
    block : str
        "layer1.0" … "layer4.1".

    Returns
    -------
    activations : (n, c, h, w) float32 array
        Channels after the first convolution, BatchNorm and ReLU.
    kernel : (out, c, 3, 3) float32 array
        Of the second convolution, stride 1 and padding 1.
    """
    part = basic_block(model, block)
    (activations,) = _inputs(model, (part.conv2,), images, size, batch_size)
    return activations, part.conv2.weight.detach().cpu().numpy().copy()


def channel_gradients(
    model, images, labels, block="layer4.1", *, size=64, batch_size=250
):
    """Each image's loss differentiated by what the second convolution reads.

    Parameters
    ----------
    model, images, block, size, batch_size
        As for `block_activations`.
    labels : (n,) integer array
        In 0..C−1, C the model's outputs.

    Returns
    -------
    (n, c, h, w) float32 array
        Nats an activation; the model's own gradients are left as they were.
    """
    import torch
    from torch.nn.functional import cross_entropy

    part = basic_block(model, block)
    labels = class_labels(labels, len(images), model.fc.out_features)
    labels = torch.from_numpy(labels)
    device = model.fc.weight.device
    kept, found, first = [], [], 0

    def keep(_, inputs):
        kept.append(inputs[0].detach().requires_grad_())
        return (kept[-1],)

    hook = part.conv2.register_forward_pre_hook(keep)
    try:
        with evaluating(model):
            for x in batches_of(images, size, batch_size, device):
                y = labels[first : first + len(x)].to(device)
                loss = cross_entropy(model(x), y, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, kept.pop())
                found.append(gradient.cpu().numpy())
                first += len(x)
    finally:
        hook.remove()
    return np.ascontiguousarray(np.concatenate(found))


def basic_block(model, name):
    """The model's basic block of that name.

    Raises
    ------
    ValueError
        If there is none: an unknown name, or a bottleneck block (ResNet-50).
    """
    names = [
        n for n, part in model.named_modules() if type(part).__name__ == "BasicBlock"
    ]
    if name not in names:
        raise ValueError(f"block: got {name!r}; allowed: {names}")
    return model.get_submodule(name)


def last_convolution(block):
    """The last convolution of a block and the BatchNorm that follows it."""
    if hasattr(block, "conv3"):
        return block.conv3, block.bn3
    return block.conv2, block.bn2


def _inputs(model, modules, images, size, batch_size):
    """What each module reads while the model runs over the images, as arrays."""
    import torch

    seen = [[] for _ in modules]
    hooks = [
        module.register_forward_pre_hook(
            lambda _, inputs, kept=kept: kept.append(inputs[0].cpu().numpy())
        )
        for module, kept in zip(modules, seen, strict=True)
    ]
    try:
        with evaluating(model), torch.no_grad():
            for x in batches_of(images, size, batch_size, model.fc.weight.device):
                model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [np.ascontiguousarray(np.concatenate(kept)) for kept in seen]
