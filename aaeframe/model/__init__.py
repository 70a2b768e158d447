"""The autoencoder, its representation, and what is asked of a prior."""
