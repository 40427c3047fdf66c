"""How fast an image answers, beside the machine's limit and other ways to serve a classifier."""
