"""The live door: a PyTorch module that is in memory becomes an image, checked against the module's own tensors."""
