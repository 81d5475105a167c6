"""One module a house: its ``config.json`` to our configuration and back, and the tensors of its folders."""
