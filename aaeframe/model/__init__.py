"""The autoencoder, its representation, and the requirements on priors."""
