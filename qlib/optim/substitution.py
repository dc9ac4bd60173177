"""Run a module with other tensors in the place of its parameters and buffers."""

from contextlib import contextmanager


def places(model):
    """Where each tensor of a module stands.

    Returns
    -------
    parameters, buffers : dict
        For each name as in `named_parameters` and `named_buffers` a list of (dict, key)
        slots: one, or several for tied tensors, which have one name only.
    """
    slots = {}
    for module in model.modules():
        for kept in (module._parameters, module._buffers):
            for key, tensor in kept.items():
                if tensor is not None:
                    slots.setdefault(id(tensor), []).append((kept, key))
    return (
        {name: slots[id(tensor)] for name, tensor in model.named_parameters()},
        {name: slots[id(tensor)] for name, tensor in model.named_buffers()},
    )


def occupant(slots):
    """The tensor at a list of slots, which all hold the same one."""
    kept, key = slots[0]
    return kept[key]


@contextmanager
def substituted(slots, tensors):
    """The module holds ``tensors[name]`` at ``slots[name]`` while inside.

    As `torch.func.functional_call`, but without a search for names at each call. What
    the module itself assigned to the slots is read there before the end.
    """
    before = []
    try:
        for name, tensor in tensors.items():
            for kept, key in slots[name]:
                before.append((kept, key, kept[key]))
                kept[key] = tensor
        yield
    finally:
        for kept, key, tensor in reversed(before):
            kept[key] = tensor
