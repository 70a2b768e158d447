/* The start of the page. */

const page = JSON.parse(byId("data").textContent);
const names = page.runs.map((it) => it.name);
let explorer = null;
let wanted = 0;

/** Show the rows of one run: its explorer, reconstructions and categories. Of several choices the last counts. */
async function showRun(index) {
  wanted = index;
  const state = await State.open(page.runs[index]);
  if (wanted !== index) return; // another run was chosen while this one was opened
  explorer?.walker.stop();
  explorer = new Explorer(state);
  byId("explorer-body").replaceChildren(explorer.element);
  byId("rows-body").replaceChildren(reconstructionPanel(state));
  const { categories } = state.data;
  byId("categories").hidden = !state.heads;
  if (state.heads) {
    byId("categories-title").textContent = categories.what === "class" ? "Classes of the model" : "Clusters";
    byId("categories-body").replaceChildren(categoryPanel(state));
  }
  document.documentElement.dataset.ready = String(index);
}

function chooseRuns() {
  const select = byId("run");
  names.forEach((name, k) => select.append(element("option", { value: k }, name)));
  byId("run-choice").hidden = names.length < 2;
  select.addEventListener("change", () => showRun(Number(select.value)));
}

function drawCurves() {
  const charts = page.panels.map((panel) => new Chart(panel, names).element);
  byId("curves-body").append(...(charts.length ? charts : [element("p", {}, "No epoch has ended.")]));
  for (const place of document.querySelectorAll(".evidence")) {
    place.append(...evidence(page.panels, Number(place.dataset.run), JSON.parse(place.dataset.keys), names));
  }
}

/** The theme follows the system until a button chooses one. */
function chooseTheme() {
  const order = ["system", "light", "dark"];
  const update = () => explorer && explorer.readTheme();
  byId("theme").addEventListener("click", () => {
    const { dataset } = document.documentElement;
    const next = order[(order.indexOf(dataset.theme ?? "system") + 1) % order.length];
    dataset.theme = next;
    byId("theme").textContent = `Theme: ${next}`;
    update();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
}

chooseTheme();
chooseRuns();
drawCurves();
showRun(0);

/** For the console: the state and the decoder of the run that is shown. */
globalThis.aaeframe = {
  get explorer() {
    return explorer;
  },
};
