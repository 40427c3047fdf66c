"""Graphs in 16 bits, with fused nodes."""
