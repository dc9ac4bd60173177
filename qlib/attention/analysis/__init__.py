"""What the attentions of a model do, and what a backend changes in them.

Functions are imported from the module that has them, as in ``from
qlib.attention.analysis.maps import attention_maps``:

- `capture`, calls recorded: `recorded`, `attention_calls`;
- `maps`, their q, k, v and weights: `projections`, `attention_maps`;
- `entropy` of weights: `entropy`, `participation`, `distance`;
- `spectra` of weights: `singular_values`, `effective_rank`, `stable_rank`;
- `specialisation` of heads: `head_distances`, `previous_token_score`,
  `first_token_score`, `induction_score`;
- `propagation`, the error from layer to layer: `error_propagation`;
- `gradients` beside the exact ones: `agreement`, `input_gradients`,
  `parameter_gradients`.
"""
