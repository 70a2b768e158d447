/* The explorer of one run: the plane, what is under the cursor, and all controls. */

class Explorer {
  constructor(state) {
    this.state = state;
    this.scatter = new Scatter({
      move: eachFrame((place, row) => this.moved(place, row)),
      pick: (place, row) => this.picked(place, row),
      leave: () => {},
      step: (by) => this.stepRow(by),
      tile: (place) => this.tile(place),
    });
    this.row = null;
    this.pins = new Pins(state, this.scatter);
    this.walker = new Walker(state, this.scatter);
    this.decoded = viewOf(state.look, "decoded at the cursor");
    this.pair = new PairView(state.look);
    this.about = element("p", { class: "about-row" }, "Move over the plane.");
    this.legend = element("div", { class: "legend" });
    this.build();
    state.listen(() => this.show());
    this.refresh();
    this.choose(0);
    this.showRow(0);
  }

  build() {
    const { state, scatter } = this;
    scatter.overlay.setAttribute("aria-label", `Latent plane with ${state.count} rows`);
    const side = element(
      "div",
      { class: "side" },
      element(
        "div",
        { class: `rows-now ${state.look.kind}` },
        element("div", { class: "now" }, this.decoded.element),
        element("div", { class: "under" }, this.pair.element, this.about),
      ),
      ...codeControls(state),
    );
    const { count, of, split } = state.data.rows;
    const some =
      count === of ? `${count.toLocaleString("en")}` : `${count.toLocaleString("en")} of ${of.toLocaleString("en")}`;
    const note = state.decoder.exact
      ? `${some} ${split} rows. The decoder runs in this page, with weights in float16.`
      : `${some} ${split} rows. The page holds a precomputed grid of decoded codes and blends the nearest: ` +
        `${state.data.decoder.reason}.${this.missing()}`;
    const help = element(
      "p",
      { id: "plane-help", class: "hint" },
      "Move: decode. Click: pin. Drag: pan. Click, then scroll, or pinch: zoom. Keys: arrows move the cursor, " +
        "Enter pins, + and − zoom, 0 resets, n and p go from row to row.",
    );
    const foot = element("div", { class: "foot" }, this.legend, this.walker.element);
    foot.append(...walkButtons(state, this.walker, this.pins), help, element("p", { class: "hint" }, note));
    this.element = element("div", { class: "explorer" }, this.toolbar());
    this.element.append(
      element("div", { class: "stage" }, scatter.element, foot, side),
      element("h3", {}, "Pinned"),
      this.pins.element,
    );
  }

  /** A sentence on the categories of which the page has no pictures. */
  missing() {
    const { categories } = this.state.data;
    const { held } = this.state.decoder;
    if (!Number.isFinite(held)) return "";
    return ` It has the first ${held} of ${categories.names.length}: codes of the others are not decoded.`;
  }

  toolbar() {
    const { state, scatter } = this;
    const pick = (label, options, action) => {
      const select = element("select", { "aria-label": label, onchange: () => action(select.value) });
      for (const [value, text] of options) select.append(element("option", { value }, text));
      return element("label", {}, `${label} `, select);
    };
    const tools = element("div", { class: "toolbar", role: "group", "aria-label": "View" });
    if (state.data.maps.length > 1) {
      tools.append(
        pick(
          "Map",
          state.data.maps.map(({ key }) => [key, key]),
          (key) => this.setMap(key),
        ),
      );
    }
    tools.append(
      pick(
        "Color by",
        state.colors.map(({ name }, k) => [k, name]),
        (k) => this.choose(Number(k)),
      ),
    );
    if (state.look.kind === "image") {
      const tiles = button("Decoded images", () => {
        scatter.tiles = scatter.tiles ? null : new Map();
        tiles.setAttribute("aria-pressed", String(Boolean(scatter.tiles)));
        scatter.draw();
      });
      tiles.setAttribute("aria-pressed", "false");
      tools.append(tiles);
    }
    const zoom = element("span", { class: "zoom" });
    zoom.append(
      button("+", () => scatter.zoom(1.4), { "aria-label": "Zoom in" }),
      button("−", () => scatter.zoom(1 / 1.4), { "aria-label": "Zoom out" }),
      button("Reset view", () => scatter.fit(...scatter.home)),
    );
    tools.append(zoom);
    return tools;
  }

  setMap(key) {
    this.walker.clear();
    this.state.setMap(key);
    this.refresh();
    this.pins.mark();
    this.choose(this.chosen);
  }

  /** Read the points and the colors of the theme anew. */
  refresh() {
    const { state, scatter } = this;
    scatter.setPoints(state.places(), state.places(state.prior));
    this.readTheme();
    scatter.fit(state.map.low, state.map.high);
    scatter.cursor = state.placeOf(state.code);
    this.show();
  }

  readTheme() {
    Object.assign(this.scatter, {
      background: themeColor("--card"),
      ink: themeColor("--ink"),
      muted: themeColor("--dot"),
    });
    this.scatter.redraw();
  }

  /** Color the points by a class or a number. */
  choose(index) {
    const color = this.state.colors[index];
    this.chosen = index;
    this.only = null;
    this.legend.replaceChildren();
    let colors;
    if (color.type === "class") {
      colors = Array.from(color.values, classColor);
      color.names.forEach((name, k) => this.legend.append(this.legendButton(color, name, k)));
    } else {
      const [low, high] = extent(color.values);
      colors = Array.from(color.values, (value) => rampColor((value - low) / (high - low || 1)));
      const bar = element("span", { class: "ramp", "aria-hidden": "true" });
      bar.style.background = `linear-gradient(90deg, ${RAMP.map(css).join(", ")})`;
      this.legend.append(element("span", {}, short(low)), bar, element("span", {}, short(high)));
    }
    this.scatter.setColors(colors);
  }

  /** A button that shows one class alone, and all again. */
  legendButton(color, name, value) {
    const dot = element("span", { class: "dot", "aria-hidden": "true" });
    dot.style.background = css(classColor(value));
    const meaning = color.meaning ? ` (${color.meaning[value]})` : "";
    const made = button("", () => {
      this.only = this.only === value ? null : value;
      const { only } = this;
      for (const it of this.legend.children) it.setAttribute("aria-pressed", String(it === made && only !== null));
      this.scatter.setColors(this.scatter.colors, only === null ? null : (row) => color.values[row] === only);
    });
    made.append(dot, `${name}${meaning}`);
    made.className = "chip";
    made.setAttribute("aria-pressed", "false");
    made.title = `Show ${color.name} ${name} alone`;
    return made;
  }

  /** The pointer is at a place: decode there, and show the row under it. */
  moved(place, row) {
    this.walker.stop();
    this.state.moveTo(place);
    this.showRow(row);
    const at = place.map(short).join(", ");
    announce(row === null ? `Cursor at ${at}` : `${this.state.describe(row)}`);
  }

  showRow(row) {
    if (row === null || row === this.row) return;
    this.row = row;
    this.pair.show(this.state, row);
    this.about.textContent = this.state.describe(row);
    this.element.dataset.row = String(row);
  }

  picked(place, row) {
    this.walker.stop();
    if (row === null) this.state.moveTo(place);
    else this.state.setCode(this.state.codeOfRow(row), this.state.labelOfRow(row));
    this.showRow(row);
    this.pins.add(row);
  }

  /** Go to the next row, or the one before. */
  stepRow(by) {
    const row = ((this.row ?? -1) + by + this.state.count) % this.state.count;
    this.state.setCode(this.state.codeOfRow(row), this.state.labelOfRow(row));
    this.scatter.lookAt(this.state.placeOf(this.state.code), row);
    this.showRow(row);
    announce(this.state.describe(row));
  }

  tile(place) {
    const canvas = element("canvas");
    const row = this.state.decode(this.state.codeAt(place));
    paint(canvas, row, imageShape(row, this.state.look, this.state.originals));
    return canvas;
  }

  /** Show what the current code decodes to. */
  show() {
    const row = this.state.decode();
    const shape = this.state.look.kind === "image" ? imageShape(row, this.state.look, this.state.originals) : null;
    this.decoded.show(row, shape);
    const [x, y] = this.state.placeOf(this.state.code);
    const [cx, cy] = this.scatter.cursor ?? [NaN, NaN];
    if (Math.hypot(x - cx, y - cy) > 1e-4) this.scatter.cursor = [x, y];
    this.scatter.redrawOverlay();
  }
}
