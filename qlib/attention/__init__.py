"""Quantum-inspired attention: exact, sampled, blockwise and classical.

Tensors are (batch, head, length, dim). `qlib.attention.attention.quantum_attention` is
the one entry point, `qlib.attention.module.QuantumMultiheadAttention` the drop-in
module. Modules are loaded when they are imported; torch with the first of them.
"""
