"""Linear layers in 8 bits."""
