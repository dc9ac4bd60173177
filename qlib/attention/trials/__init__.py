"""What notebook 06 measures: a trial returns plain arrays, for figures and claims."""
