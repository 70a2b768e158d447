"""A torch Dataset that opens an image of a folder for each item; the reconstructions as images."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

import aaeframe


class Folder(Dataset):
    paths = sorted(Path("images").glob("*.png"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, k):
        return np.asarray(Image.open(self.paths[k]), dtype=np.float32)[None] / 255  # (1, H, W)


run = aaeframe.train(Folder(), epochs=2, batch_size=20, keep=False, progress=False)
for path, image in zip(Folder.paths, run.reconstruct(Folder()), strict=True):
    Image.fromarray((image[0].clip(0, 1) * 255).byte().numpy()).save(f"reconstructed-{path.name}")
