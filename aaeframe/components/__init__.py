"""Finding installed plugins, describing their options, building their components. Torch-free."""
