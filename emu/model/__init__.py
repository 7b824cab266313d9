"""The PyTorch side: the reference model, checkpoints, the graph and the model image."""
