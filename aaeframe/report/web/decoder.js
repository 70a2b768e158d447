/* Decoders: from codes to rows as they are shown. */

const ACTIVATIONS = {
  identity: (x) => x,
  relu: (x) => (x > 0 ? x : 0),
  leaky: (x, slope) => (x < 0 ? slope * x : x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: (x) => Math.tanh(x),
};

/** A network of dense layers, computed here. */
class DenseDecoder {
  constructor(spec) {
    this.exact = true;
    this.layers = spec.layers.map((layer) => ({
      ...layer,
      weight: unpack(layer.weight),
      bias: unpack(layer.bias),
      activate: ACTIVATIONS[layer.activation],
    }));
    this.scale = unpack(spec.scale);
    this.offset = unpack(spec.offset);
  }

  /** The row of an input: the blocks side by side, and the one-hot label where the decoder takes one. */
  decode(input) {
    let values = Float32Array.from(input);
    for (const { weight, bias, scale, activate, slope } of this.layers) {
      const size = values.length;
      if (weight.length !== size * bias.length) throw new Error(`a layer with other weights than for ${size} inputs`);
      const found = new Float32Array(bias.length);
      for (let row = 0; row < found.length; row++) {
        let sum = 0;
        const start = row * size;
        for (let k = 0; k < size; k++) sum += weight[start + k] * values[k];
        found[row] = activate(scale * sum + bias[row], slope);
      }
      values = found;
    }
    return Float64Array.from(values, (value, k) => value * this.scale[k] + this.offset[k]);
  }
}

/** Rows that were decoded on a grid over each map; between them, the four nearest are blended. */
class GridDecoder {
  static async open(spec, look) {
    const made = new GridDecoder();
    made.exact = false;
    made.grids = new Map();
    for (const grid of spec.grids) {
      made.grids.set(grid.key, { ...grid, gallery: await Gallery.open(grid.pictures, look) });
    }
    return made;
  }

  /** The number of categories that every map can decode. */
  get held() {
    return Math.min(...[...this.grids.values()].map((it) => (it.categories < it.of ? it.categories : Infinity)));
  }

  /** The row at a place of a map, in the units of its axes; without values for a category that has no pictures. */
  at(map, place, category) {
    const { side, categories, of, gallery } = this.grids.get(map.key);
    const chosen = of > 1 ? (category ?? 0) : 0;
    if (chosen >= categories) return new Float32Array(gallery.shape.reduce((a, b) => a * b)).fill(NaN);
    const first = chosen * side * side;
    const [x, y] = [0, 1].map((k) =>
      clamp(((place[k] - map.low[k]) / (map.high[k] - map.low[k])) * (side - 1), 0, side - 1),
    );
    const [left, below] = [Math.min(Math.floor(x), side - 2), Math.min(Math.floor(y), side - 2)];
    const [across, up] = [x - left, y - below];
    const parts = [
      [0, 0, (1 - across) * (1 - up)],
      [1, 0, across * (1 - up)],
      [0, 1, (1 - across) * up],
      [1, 1, across * up],
    ];
    let sum = null;
    for (const [dx, dy, share] of parts) {
      const part = gallery.values(first + (below + dy) * side + left + dx);
      sum ??= new Float64Array(part.length);
      for (let k = 0; k < sum.length; k++) sum[k] += share * part[k];
    }
    return sum;
  }
}
