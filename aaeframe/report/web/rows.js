/* Rows of data: where they are stored, and how one is shown as an image, as bars or as lines. */

/** Rows by number: from a sheet of images, or from numbers. */
class Gallery {
  /** A gallery of the page; `look` has the kind and the shape of a row. */
  static async open(spec, look) {
    const made = new Gallery();
    if (spec.kind === "values") {
      made.shape = look.shape;
      made.all = unpack(spec.values);
      return made;
    }
    const image = new Image();
    image.src = spec.src;
    await image.decode();
    const canvas = element("canvas", { width: image.width, height: image.height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    made.sheet = context.getImageData(0, 0, image.width, image.height);
    made.shape = [[3, 4].includes(look.shape[0]) ? look.shape[0] : 1, spec.height, spec.width];
    made.across = spec.across;
    return made;
  }

  /** The values of one row. */
  values(index) {
    const [channels, height, width] = this.shape;
    if (this.all) {
      const size = this.shape.reduce((a, b) => a * b);
      return this.all.subarray(index * size, (index + 1) * size);
    }
    const found = new Float32Array(channels * height * width);
    const left = (index % this.across) * width;
    const top = Math.floor(index / this.across) * height;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = 4 * ((top + y) * this.sheet.width + left + x);
        for (let c = 0; c < channels; c++) found[(c * height + y) * width + x] = this.sheet.data[from + c] / 255;
      }
    }
    return found;
  }
}

/** The shape of an image with as many values; sheets hold reduced ones. */
function imageShape(values, look, gallery) {
  const size = look.shape.reduce((a, b) => a * b);
  return values.length === size ? look.shape : gallery.shape;
}

/** Paint an image (C, H, W) with values from 0 to 1, or none. Channels that are not colors are averaged. */
function paint(canvas, values, [channels, height, width]) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  if (Number.isNaN(values[0])) {
    context.clearRect(0, 0, width, height);
    return;
  }
  const image = context.createImageData(width, height);
  const area = height * width;
  for (let k = 0; k < area; k++) {
    let gray = 0;
    if (channels !== 3 && channels !== 4) {
      for (let c = 0; c < channels; c++) gray += values[c * area + k] / channels;
    }
    for (let c = 0; c < 4; c++) {
      const color = channels === 3 || channels === 4 ? (c < channels ? values[c * area + k] : 1) : c < 3 ? gray : 1;
      image.data[4 * k + c] = Math.round(255 * color);
    }
  }
  context.putImageData(image, 0, 0);
}

/** An image with a caption, which a plain one has for screen readers alone. */
class ImageView {
  constructor(caption, isPlain = false) {
    this.canvas = element("canvas", { class: "picture", role: "img", "aria-label": caption });
    this.element = element("figure", { class: "view image" }, this.canvas);
    if (!isPlain) this.element.append(element("figcaption", { "aria-hidden": "true" }, caption));
  }

  show(values, shape) {
    paint(this.canvas, values, shape);
  }
}

/** A row of a table: a bar for each column, and a mark for the original where there is one. */
class BarsView {
  constructor(look, caption) {
    this.ranges = look.ranges;
    this.bars = look.columns.map((name) => {
      const [fill, mark, value] = ["fill", "mark", "value"].map((kind) => element("span", { class: kind }));
      const line = element("li", {}, element("span", { class: "name", title: name }, name));
      line.append(element("span", { class: "track" }, fill, mark), value);
      return { line, fill, mark, value };
    });
    const list = element("ul", { class: "bars" }, ...this.bars.map((it) => it.line));
    this.element = element("figure", { class: "view" }, list, element("figcaption", {}, caption));
  }

  show(values, original = null) {
    this.bars.forEach(({ fill, mark, value }, k) => {
      const [low, high] = this.ranges[k];
      const share = (x) => clamp(((x - low) / (high - low || 1)) * 100, 0, 100);
      fill.style.width = `${share(values[k])}%`;
      mark.hidden = original === null;
      if (original !== null) mark.style.left = `${share(original[k])}%`;
      value.textContent = short(values[k]);
    });
  }
}

/** A row of series: a line for each channel, and a dashed one for the original where there is one. */
class LinesView {
  constructor(look, caption) {
    [this.channels, this.length] = look.shape;
    this.range = look.ranges[0];
    this.picture = drawn("svg", { viewBox: "0 0 300 120", role: "img", "aria-label": caption, class: "lines" });
    this.element = element("figure", { class: "view" }, this.picture, element("figcaption", {}, caption));
  }

  show(values, original = null) {
    const [low, high] = this.range;
    const path = (row, channel) => {
      const points = [];
      for (let t = 0; t < this.length; t++) {
        const y = 116 - (112 * (row[channel * this.length + t] - low)) / (high - low || 1);
        points.push(`${((300 * t) / Math.max(1, this.length - 1)).toFixed(1)},${clamp(y, 0, 120).toFixed(1)}`);
      }
      return points.join(" ");
    };
    const lines = [];
    for (let channel = 0; channel < this.channels; channel++) {
      const stroke = css(classColor(channel));
      if (original !== null) {
        lines.push(drawn("polyline", { points: path(original, channel), stroke, class: "original" }));
      }
      lines.push(drawn("polyline", { points: path(values, channel), stroke }));
    }
    this.picture.replaceChildren(...lines);
  }
}

/** A view of one decoded row. */
function viewOf(look, caption) {
  if (look.kind === "image") return new ImageView(caption);
  return look.kind === "table" ? new BarsView(look, caption) : new LinesView(look, caption);
}

/** An original beside its reconstruction; tables and series have both in one picture. */
class PairView {
  constructor(look, isPlain = false) {
    this.look = look;
    if (look.kind === "image") {
      this.first = new ImageView("original", isPlain);
      this.second = new ImageView("reconstruction", isPlain);
      this.element = element("div", { class: "pair" }, this.first.element, this.second.element);
    } else {
      this.second = viewOf(look, look.kind === "table" ? "bar: reconstruction, mark: original" : "dashed: original");
      this.element = element("div", { class: "pair" }, this.second.element);
    }
  }

  /** Show a row of a state by number. */
  show(state, index) {
    const original = state.originals.values(index);
    const decoded = state.reconstruction(index);
    if (this.first) {
      this.first.show(original, imageShape(original, this.look, state.originals));
      this.second.show(decoded, imageShape(decoded, this.look, state.originals));
    } else {
      this.second.show(decoded, original);
    }
  }
}
