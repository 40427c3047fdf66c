"""The steps between a checkpoint and a tested Triton image; see docs/architecture.md."""
