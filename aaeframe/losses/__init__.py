"""Loss functions of tensors, nothing else."""
