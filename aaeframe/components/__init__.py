"""Find installed plugins, describe the options of their components and build them. Torch-free."""
