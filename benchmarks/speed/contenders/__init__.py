"""Ways to serve a text classifier over HTTP, one in each folder.

`contract.py` says what a folder has, `table.py` which there are.
"""
