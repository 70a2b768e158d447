/* The state of one run in the explorer: its codes, the current code, and what it decodes to. */

class State {
  /** Unpack the data of a run. */
  static async open(data) {
    const made = new State();
    Object.assign(made, { data, listeners: [] });
    made.look = { kind: data.kind, shape: data.shape, columns: data.columns };
    made.originals = await Gallery.open(data.originals, made.look);
    made.look.ranges = made.ranges();
    made.heads = data.heads && (await Gallery.open(data.heads, made.look));
    made.codes = {};
    for (const [key, packed] of Object.entries(data.codes)) made.codes[key] = unpack(packed);
    made.prior = {};
    for (const [key, packed] of Object.entries(data.prior)) made.prior[key] = unpack(packed);
    made.colors = data.colors.map((it) => ({ ...it, values: unpack(it.values) }));
    made.labels = data.labels && unpack(data.labels.values);
    made.paths = data.paths.map((it) => ({ ...it, codes: unpack(it.codes) }));
    made.headWeights = data.representation && unpack(data.representation.heads);
    if (data.decoder.kind === "dense") {
      made.decoder = new DenseDecoder(data.decoder);
    } else {
      made.decoder = await GridDecoder.open(data.decoder, made.look);
      made.decoded = await Gallery.open(data.decoder.reconstructions, made.look);
    }
    made.sizes = {};
    for (const block of data.blocks) made.sizes[block.name] = block.size;
    for (const map of data.maps) made.sizes[map.key] = map.mean.length;
    made.map = data.maps[0];
    made.code = made.codeOfRow(0);
    made.label = made.labelOfRow(0);
    return made;
  }

  get count() {
    return this.data.rows.count;
  }

  /** Call a function after each change of the code or the map. */
  listen(action) {
    this.listeners.push(action);
  }

  changed() {
    for (const action of this.listeners) action();
  }

  /** The range of each column of a table, or of all values of series. */
  ranges() {
    if (this.look.kind === "image") return [[0, 1]];
    const { all } = this.originals;
    if (this.look.kind === "series") return [extent(all)];
    const width = this.look.shape[0];
    return this.look.columns.map((_, k) => extent(all.filter((__, place) => place % width === k)));
  }

  /** The code of a row in one block or map. */
  part(key, index) {
    const size = this.sizes[key];
    return this.codes[key].subarray(index * size, (index + 1) * size);
  }

  codeOfRow(index) {
    return Object.fromEntries(this.data.blocks.map(({ name }) => [name, Float32Array.from(this.part(name, index))]));
  }

  /** The color of this key, which no column has: "class", "category" or "error". */
  color(key) {
    return this.colors.find((it) => it.key === key);
  }

  /** The label of a row where the decoder takes labels. */
  labelOfRow(index) {
    return this.labels && this.labels[index];
  }

  /** The category of the current code: the label, or the most probable category of the class block. */
  get category() {
    const { categories } = this.data;
    if (!categories) return null;
    if (categories.block === null) return this.label;
    const code = this.code[categories.block];
    const best = code.reduce((found, value, k) => (value > code[found] ? k : found), 0);
    return code[best] > 0 ? best : null;
  }

  /** The input of the decoder for a code and a label. */
  input(code, label) {
    const parts = this.data.blocks.flatMap(({ name }) => [...code[name]]);
    if (this.labels) for (let k = 0; k < this.data.labels.count; k++) parts.push(Number(k === label));
    return parts;
  }

  /** The row that a code decodes to. */
  decode(code = this.code, label = this.label) {
    if (this.decoder.exact) return this.decoder.decode(this.input(code, label));
    const held = [this.code, this.label];
    [this.code, this.label] = [code, label];
    const found = this.decoder.at(this.map, this.placeOf(code), this.category);
    [this.code, this.label] = held;
    return found;
  }

  /** The reconstruction of a row. */
  reconstruction(index) {
    if (this.decoded) return this.decoded.values(index);
    return this.decode(this.codeOfRow(index), this.labelOfRow(index));
  }

  /** The code that a map shows: a block's, or W y + z. */
  shown(code, map = this.map) {
    const heads = this.data.representation;
    if (!heads || map.key !== heads.key) return code[map.key];
    const [y, z] = [code[heads.class_block], code[heads.style_block]];
    return z.map((value, k) => y.reduce((sum, share, c) => sum + share * this.headWeights[c * z.length + k], value));
  }

  /** The place of a code in the plane of a map. */
  placeOf(code, map = this.map) {
    return this.project(this.shown(code, map), map);
  }

  project(z, map = this.map) {
    const place = map.axes.map((axis) => axis.reduce((sum, weight, k) => sum + weight * (z[k] - map.mean[k]), 0));
    return place.length === 2 ? place : [place[0], 0];
  }

  /** The current code moved to a place of the plane; what the plane does not show stays. */
  codeAt(place, map = this.map) {
    const z = this.shown(this.code, map);
    const now = this.project(z, map);
    const moved = Float32Array.from(z, (value, k) =>
      map.axes.reduce((sum, axis, a) => sum + axis[k] * (place[a] - now[a]), value),
    );
    const heads = this.data.representation;
    if (!heads || map.key !== heads.key) return { ...this.code, [map.key]: moved };
    const none = new Float32Array(this.sizes[heads.class_block]);
    return { ...this.code, [heads.class_block]: none, [heads.style_block]: moved };
  }

  moveTo(place) {
    this.code = this.codeAt(place);
    this.changed();
  }

  setCode(code, label = this.label) {
    this.code = Object.fromEntries(Object.entries(code).map(([name, z]) => [name, Float32Array.from(z)]));
    this.label = label;
    this.changed();
  }

  setCategory(index) {
    const { block } = this.data.categories;
    if (block === null) this.label = index;
    else this.code = { ...this.code, [block]: this.code[block].map((_, k) => Number(k === index)) };
    this.changed();
  }

  setMap(key) {
    this.map = this.data.maps.find((it) => it.key === key);
    this.changed();
  }

  /** The places of all rows, or of prior samples, in the plane of the map: x and y by turns. */
  places(codes = this.codes) {
    const { key, axes, mean } = this.map;
    const z = codes[key];
    const size = mean.length;
    const found = new Float32Array((2 * z.length) / size);
    for (let row = 0; row < found.length / 2; row++) {
      for (let a = 0; a < 2; a++) {
        let sum = 0;
        if (axes[a]) for (let k = 0; k < size; k++) sum += axes[a][k] * (z[row * size + k] - mean[k]);
        else sum = 1.6 * ((row * 0.618034) % 1) - 0.8; // one dimension is spread over the height
        found[2 * row + a] = sum;
      }
    }
    return found;
  }

  /** A row in words: its name, its classes and its reconstruction error. */
  describe(index) {
    const parts = this.colors
      .filter((it) => it.type === "class" || it.key === "error")
      .map((it) => `${it.name} ${this.valueOf(it, index)}`);
    return [this.nameOf(index), ...parts].join(" · ");
  }

  /** A row in few words. */
  brief(index) {
    const [first] = this.colors.filter((it) => it.type === "class");
    const error = this.color("error");
    const known = first ? this.valueOf(first, index) : this.nameOf(index);
    return `${known} · error ${this.valueOf(error, index)}`;
  }

  nameOf(index) {
    return this.data.ids ? this.data.ids[index] : `row ${this.data.positions[index] + 1}`;
  }

  valueOf(color, index) {
    const value = color.values[index];
    if (color.type !== "class") return short(value);
    if (value < 0) return "no label";
    const meaning = color.meaning ? ` (${color.meaning[value]})` : "";
    return `${color.names[value]}${meaning}`;
  }
}
