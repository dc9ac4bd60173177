"""Kernels of quantum feature maps, each beside its classical twin."""

BACKENDS = ()
