"""What a search found, put back into the network: heads, BatchNorm values, masks."""

from qlib.weights.arguments import finite_array, kept_mask
from qlib.weights.probes import basic_block, last_convolution


def inject_head(model, weights, bias):
    """Make the last layer compute ``features @ weights + bias``, in place.

    Parameters
    ----------
    model : torchvision ResNet
        Its last layer is replaced; the number of classes may change.
    weights : (d, C) array
        Finite; for a `qlib.weights.quantize.QuantizedHead` its `weights`.
    bias : (C,) array
        Finite.

    Returns
    -------
    The model.
    """
    import torch

    d = model.fc.in_features
    weights = finite_array("weights", weights, (d, "C"))
    classes = weights.shape[1]
    bias = finite_array("bias", bias, (classes,))
    old = model.fc.weight
    layer = torch.nn.utils.skip_init(
        torch.nn.Linear, d, classes, device=old.device, dtype=old.dtype
    )
    _assign(layer.weight, weights.T)
    _assign(layer.bias, bias)
    model.fc = layer.train(model.training)
    return model


def inject_batchnorm(model, gamma, beta):
    """Set scale and shift of the last residual block's last BatchNorm, in place.

    Parameters
    ----------
    model : torchvision ResNet
    gamma, beta : (c,) array
        Finite.

    Returns
    -------
    The model.
    """
    _, norm = last_convolution(model.layer4[-1])
    gamma = finite_array("gamma", gamma, tuple(norm.weight.shape))
    beta = finite_array("beta", beta, tuple(norm.bias.shape))
    _assign(norm.weight, gamma)
    _assign(norm.bias, beta)
    return model


def mask_features(model, kept):
    """Silence inputs of the last layer by zeros in its weights, in place.

    Parameters
    ----------
    model : torchvision ResNet
    kept : (d,) bool array
        False where a feature is removed.

    Returns
    -------
    The model.
    """
    kept = kept_mask(kept, model.fc.in_features)
    _assign(model.fc.weight, _array(model.fc.weight) * kept)
    return model


def mask_channels(model, kept, block="layer4.1"):
    """Silence channels between the two convolutions of a basic block, in place.

    The first convolution's filters and their BatchNorm's scale and shift become zero,
    so the second reads zeros there: the network is the one without these channels. No
    gradient passes their ReLU, so fine-tuning leaves them at zero.

    Parameters
    ----------
    model : torchvision ResNet of basic blocks
    kept : (c,) bool array
        False where a channel is removed.
    block : str
        "layer1.0" … "layer4.1".

    Returns
    -------
    The model.
    """
    part = basic_block(model, block)
    kept = kept_mask(kept, part.conv1.out_channels)
    _assign(part.conv1.weight, _array(part.conv1.weight) * kept[:, None, None, None])
    _assign(part.bn1.weight, _array(part.bn1.weight) * kept)
    _assign(part.bn1.bias, _array(part.bn1.bias) * kept)
    return model


def inject_kernel(model, kernel, shift=None, block="layer4.1"):
    """Replace the second convolution of a basic block, as refitted after pruning.

    Parameters
    ----------
    model : torchvision ResNet of basic blocks
    kernel : (out, c, kh, kw) array
        Finite, of the shape that is there.
    shift : (out,) array or None
        Constant to add to the convolution's output. It has no bias, so the running mean
        of the BatchNorm behind it is lowered by as much: exact in evaluation mode.
    block : str
        "layer1.0" … "layer4.1".

    Returns
    -------
    The model.
    """
    part = basic_block(model, block)
    kernel = finite_array("kernel", kernel, tuple(part.conv2.weight.shape))
    if shift is not None:
        shift = finite_array("shift", shift, tuple(part.bn2.running_mean.shape))
        _assign(part.bn2.running_mean, _array(part.bn2.running_mean) - shift)
    _assign(part.conv2.weight, kernel)
    return model


def _array(tensor):
    return tensor.detach().cpu().double().numpy()


def _assign(tensor, values):
    import torch

    with torch.no_grad():
        tensor.copy_(torch.tensor(values))
