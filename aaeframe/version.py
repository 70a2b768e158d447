"""The version, in a module of its own so that nothing inside the package has to import the package."""

__version__ = "0.1.0"
