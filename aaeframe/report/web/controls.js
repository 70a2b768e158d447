/* Controls of a code: buttons for categories, sliders for coordinates. */

const OPEN_SLIDERS = 6;

const MOST_BUTTONS = 64;

/** Buttons for the categories of a model, or a list of many. */
function categoryControl(state) {
  const { categories } = state.data;
  if (!categories) return null;
  const name = categories.block === null ? categories.what : `${categories.what}, block ${categories.block}`;
  return group(name, categories.names.length > MOST_BUTTONS ? categoryList(state, name) : categoryButtons(state));
}

/** A list of the categories that the page can decode. */
function categoryList(state, name) {
  const list = element("select", { "aria-label": name, onchange: () => state.setCategory(Number(list.value)) });
  const names = state.data.categories.names.slice(0, state.decoder.exact ? undefined : state.decoder.held);
  names.forEach((it, k) => list.append(element("option", { value: k }, it)));
  const update = () => {
    list.value = String(state.category);
  };
  state.listen(update);
  update();
  return list;
}

function categoryButtons(state) {
  const { categories } = state.data;
  const buttons = categories.names.map((name, k) => {
    const meaning = categories.meaning ? ` (${categories.meaning[k]})` : "";
    return button(`${name}${meaning}`, () => state.setCategory(k), { class: "chip" });
  });
  const update = () => buttons.forEach((it, k) => it.setAttribute("aria-pressed", String(state.category === k)));
  state.listen(update);
  update();
  return element("div", { class: "chips" }, ...buttons);
}

/** A titled group of controls. */
function group(title, ...children) {
  return element("fieldset", {}, element("legend", {}, title), ...children);
}

/** Sliders for the coordinates of a block that is not one-hot. */
function blockSliders(state, block) {
  const rows = Array.from({ length: block.size }, (_, k) => {
    const value = element("output", { class: "number" });
    const slider = element("input", {
      type: "range",
      min: block.low[k],
      max: block.high[k],
      step: (block.high[k] - block.low[k]) / 200,
      "aria-label": `${block.name}, coordinate ${k + 1}`,
      oninput: () => {
        const code = Float32Array.from(state.code[block.name]);
        code[k] = Number(slider.value);
        state.setCode({ ...state.code, [block.name]: code });
      },
    });
    const update = () => {
      if (document.activeElement !== slider) slider.value = state.code[block.name][k];
      value.textContent = short(state.code[block.name][k]);
    };
    state.listen(update);
    update();
    return element(
      "div",
      { class: "slider" },
      element("span", { "aria-hidden": "true" }, String(k + 1)),
      slider,
      value,
    );
  });
  const first = rows.slice(0, OPEN_SLIDERS);
  const rest = rows.slice(OPEN_SLIDERS);
  const more = rest.length
    ? [element("details", {}, element("summary", {}, `${rest.length} more coordinates`), ...rest)]
    : [];
  return group(`block ${block.name}`, ...first, ...more);
}

/** All controls of the code of a run. */
function codeControls(state) {
  const parts = [categoryControl(state)];
  if (state.decoder.exact) {
    for (const block of state.data.blocks) if (!block.one_hot) parts.push(blockSliders(state, block));
    const own = state.data.categories && state.data.categories.block;
    for (const block of state.data.blocks) {
      if (block.one_hot && block.name !== own) parts.push(oneHotButtons(state, block));
    }
  }
  return parts.filter((it) => it !== null);
}

/** Buttons for a one-hot block that is not the class block. */
function oneHotButtons(state, block) {
  const buttons = Array.from({ length: block.size }, (_, k) =>
    button(
      String(k),
      () => {
        const code = new Float32Array(block.size);
        code[k] = 1;
        state.setCode({ ...state.code, [block.name]: code });
      },
      { class: "chip" },
    ),
  );
  const update = () => {
    const code = state.code[block.name];
    buttons.forEach((it, k) => it.setAttribute("aria-pressed", String(code[k] > 0 && code[k] === Math.max(...code))));
  };
  state.listen(update);
  update();
  return group(`block ${block.name}`, element("div", { class: "chips" }, ...buttons));
}
