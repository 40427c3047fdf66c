"""Which machine an image is for: hardware, precision, server, platform."""
