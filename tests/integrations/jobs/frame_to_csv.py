"""A data frame with names of rows and of classes; its codes as csv, with both."""

import numpy as np
import pandas as pd

import aaeframe

names = [f"plant-{k}" for k in range(150)]
species = np.repeat(["setosa", "versicolor", "virginica"], 50)
sizes = np.random.default_rng(0).normal(np.arange(150)[:, None] // 50, 0.3, (150, 4)).round(1)
flowers = pd.DataFrame(sizes, columns=["sepal length", "sepal width", "petal length", "petal width"])
flowers.insert(0, "species", species)
flowers.insert(0, "plant", names)

run = aaeframe.train(flowers, label_key="species", ids="plant", epochs=5, keep=False, progress=False)
codes = pd.DataFrame(run.encode(flowers)["gaussian"], columns=["gaussian_1", "gaussian_2"])
pd.concat([flowers[["plant", "species"]], codes], axis=1).to_csv("codes.csv", index=False)
