"""Unbiased estimators of softmax attention, each with its standard error."""

BACKENDS = ()
