"""The HTML report of runs, with the latent explorer."""
