"""The trials of notebook 04: each returns data that `figures` draws."""
