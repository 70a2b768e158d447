"""A sparse matrix of counts, as text and single cells give them; codes of other rows."""

import numpy as np
from scipy import sparse

import aaeframe

counts = sparse.random(200, 3000, 0.01, format="csr", random_state=0, dtype=np.float32)
run = aaeframe.train(counts, prior="gaussian(size=5)", epochs=2, keep=False, progress=False)
more = sparse.random(30, 3000, 0.01, format="csr", random_state=1, dtype=np.float32)
np.save("codes.npy", run.encode(more)["gaussian"])
