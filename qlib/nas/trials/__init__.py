"""The trials of notebook 05: each returns data that `figures` draws."""
