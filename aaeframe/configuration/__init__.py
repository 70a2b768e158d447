"""The configuration of a run: schema, short forms, presets, composition, resolution. Torch-free."""
