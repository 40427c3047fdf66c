"""Places that models live in: see docs/storages.md."""
