"""What notebook 03 measures: descents on landscapes, trained networks, ablations."""
