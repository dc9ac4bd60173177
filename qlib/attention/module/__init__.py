"""The drop-in module: nn.MultiheadAttention with any backend.

`multihead`, the module; `replacement`, all attentions of a model at once. Inside:
`heads`, projected and joined; `groups` of heads that share a backend; `conventions`,
PyTorch's masks as those of `quantum_attention`; `nested` tensors; `arguments`, what is
refused.
"""

from qlib.attention.module.multihead import QuantumMultiheadAttention
from qlib.attention.module.replacement import replace_attention, set_backend

__all__ = ["QuantumMultiheadAttention", "replace_attention", "set_backend"]
