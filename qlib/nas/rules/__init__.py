"""Design rules: from a target's entanglement to a block, and what such rules are worth.

`profile` is what a rule may read; `RULES` were declared before anything was measured;
`families` are the targets; `measure` trains every block on every target.
"""
