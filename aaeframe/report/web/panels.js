/* Panels of rows: reconstructions, and categories with their rows. */

const SHOWN = { image: 18, table: 6, series: 6 };
const MEMBERS = 8;

/** Rows with their reconstructions: the first, those with the largest error, those with the smallest. */
function reconstructionPanel(state) {
  const error = state.color("error").values;
  const all = Array.from({ length: state.count }, (_, k) => k);
  const orders = {
    "drawn at random": all,
    "largest error": [...all].sort((a, b) => error[b] - error[a]),
    "smallest error": [...all].sort((a, b) => error[a] - error[b]),
  };
  const cards = element("ul", { class: `cards ${state.look.kind}` });
  const buttons = Object.entries(orders).map(([name, order]) =>
    button(name, () => show(name, order), { class: "chip" }),
  );
  const show = (name, order) => {
    buttons.forEach((it) => it.setAttribute("aria-pressed", String(it.textContent === name)));
    cards.replaceChildren(
      ...order.slice(0, SHOWN[state.look.kind]).map((row) => {
        const pair = new PairView(state.look, true);
        pair.show(state, row);
        return element("li", {}, pair.element, element("p", { class: "about-row" }, state.brief(row)));
      }),
    );
  };
  show("drawn at random", all);
  const hint = element("p", { class: "hint" }, "Originals, each with its reconstruction on the right.");
  return element(
    "div",
    {},
    element("div", { class: "chips" }, ...buttons),
    ...(state.look.kind === "image" ? [hint] : []),
    cards,
  );
}

/** The category of each row: its label where the decoder takes labels, or that of the class block. */
function memberships(state) {
  const { categories } = state.data;
  return categories.block === null ? state.labels : state.color("category").values;
}

/** Each category: what it decodes to, how many rows it has, their classes, and some of them. */
function categoryPanel(state) {
  const { categories } = state.data;
  const members = memberships(state);
  const classes = state.color("class");
  const items = categories.names.map((name, k) => {
    const rows = [];
    members.forEach((it, row) => it === k && rows.push(row));
    const meaning = categories.meaning ? ` (${categories.meaning[k]})` : "";
    const share = ((100 * rows.length) / state.count).toFixed(1);
    const head = viewOf(state.look, "decoded");
    const values = state.heads.values(k);
    head.show(values, state.look.kind === "image" ? state.heads.shape : null);
    const shown = state.look.kind === "image" ? rows.slice(0, MEMBERS) : [];
    const pictures = shown.map((row) => {
      const view = new ImageView(state.describe(row));
      const original = state.originals.values(row);
      view.show(original, imageShape(original, state.look, state.originals));
      return view.canvas;
    });
    const told = [`${rows.length} rows, ${share} %`];
    if (classes && categories.what === "cluster" && rows.length) told.push(commonest(classes, rows));
    return element(
      "li",
      {},
      element("h3", {}, `${categories.what} ${name}${meaning}`),
      element("p", { class: "hint" }, told.join(" · ")),
      element("div", { class: "members" }, head.element, ...pictures),
    );
  });
  return element("ul", { class: `categories ${state.look.kind}` }, ...items);
}

/** The most frequent class among rows, in words. */
function commonest(classes, rows) {
  const counts = new Map();
  for (const row of rows) counts.set(classes.values[row], (counts.get(classes.values[row]) ?? 0) + 1);
  const [value, count] = [...counts].sort((a, b) => b[1] - a[1])[0];
  const name = value < 0 ? "no label" : `class ${classes.names[value]}`;
  return `${((100 * count) / rows.length).toFixed(0)} % ${name}`;
}
