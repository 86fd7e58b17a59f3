// What happens when: an image comes, a switch is turned, a box is chosen.

const state = {
  model: null, file: null, image: null, whole: null, without: new Set(),
  kernels: null, layers: [], shown: null, chosen: { layer: "conv1", column: 0, map: null }, request: null,
};

const SWITCHES = {
  normalization: ["Without response normalisation", "neighbouring maps do not compete (Sec.\u00a03.3)"],
  column1: ["Without the first column", "its maps and neurons are zero in every layer"],
  column2: ["Without the second column", "its maps and neurons are zero in every layer"],
};

const CENTRE = 4;  // its place among the ten views

const LAYER_TEXTS = {
  conv1: "Edges, gratings and blobs of colour: compare each map with its kernel in section 3. ReLU has cut away everything negative; normalisation and pooling follow.",
  conv2: "Kernels of 5×5 over the pooled maps of layer 1: corners, textures, junctions.",
  conv3: "Kernels of 3×3 over all that layer 2 found, without pooling before or after.",
  conv4: "More of the same size; what a map stands for is hard to name by now.",
  conv5: "The last convolution. Each map asks for one complicated thing, and most are silent on most images.",
  conv6: "The sixth convolution of CNN* (Sec.\u00a06).",
  fc6: "Places are gone: every neuron reads every map. Dropout silenced half of them at a time while the net learned (Sec.\u00a04.2).",
  fc7: "The net’s description of the image, by which the nearest images of section 5 are found.",
};

/** Whose maps a layer reads, where the net has columns. */
function reads(layer) {
  if (state.model.columns === 1 || layer.name === "conv1" || layer.height * layer.width === 1) return "";
  return layer.reads_both ? " Here the columns meet: it reads the maps of all." : " It reads the maps of its own column only.";
}

async function ask(path, body, signal) {
  for (let tries = 0; ; tries++) {
    let response;
    try {
      response = await fetch(path, body ? { method: "POST", body, signal } : { signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer. Is it still running?");
    }
    if (response.ok) return response.json();
    if (response.status === 503 && tries < 3) {
      const seconds = Number(response.headers.get("retry-after")) || 1;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    let reason = `the server answered ${response.status}`;
    try { reason = (await response.json()).error || reason; } catch { /* not JSON: the number must do */ }
    throw new Error(reason.charAt(0).toUpperCase() + reason.slice(1) + ".");
  }
}

const query = () => (state.without.size ? `?without=${[...state.without].join(",")}` : "");

/** Do something that can fail; only the newest may speak. */
async function attempt(work) {
  state.request?.abort();
  const request = state.request = new AbortController();
  $("problem").textContent = "";
  $("progress").textContent = "The net is looking …";
  try {
    await work(request.signal);
  } catch (error) {
    if (error.name !== "AbortError" && request === state.request) $("problem").textContent = error.message;
  } finally {
    if (request === state.request) { $("progress").textContent = ""; document.body.dataset.done = Date.now(); }
  }
}

function take(file) {
  if (!file) return;
  if (file.size > state.model.body_bytes) {
    $("problem").textContent = `This file has ${(file.size / 1e6).toFixed(0)} MB; the server takes up to ${(state.model.body_bytes / 1e6).toFixed(0)} MB.`;
    return;
  }
  attempt(async (signal) => {
    const whole = await ask("look", file, signal);
    const image = new Image();
    image.src = whole.image;
    await image.decode();
    Object.assign(state, { file, image, whole });
    $("image").getContext("2d").drawImage(image, 0, 0);
    $("image").setAttribute("aria-label", "The image as the net is given it");
    $("switches").hidden = state.model.switches.length === 0;
    await compute(signal);
    if (state.model.searchable) showSimilar((await ask("similar", file, signal)).images);
  });
}

/** Everything that depends on the switches. */
async function compute(signal) {
  const { whole, model } = state;
  let now = whole;
  if (state.without.size) now = await ask(`look${query()}`, state.file, signal);
  showBars(rowsOf(whole, now));
  showChange(whole, now);
  showViews(state.image, model.input_size, now.views, now.guesses[0].label);
  if (model.columns) {
    state.layers = layersOf(await ask(`activations${query()}`, state.file, signal));
    showDiagram(model, state.image, state.layers, now.views[CENTRE], (layer, column) => choose(layer.name, column, null));
    $("kernels-hint").hidden = false;
    choose(state.chosen.layer, state.chosen.column, state.chosen.map);
  }
}

function rowsOf(whole, now) {
  if (now === whole) return whole.guesses.map(({ name, probability }) => ({ name, now: probability }));
  const guesses = [...whole.guesses];
  for (const guess of now.guesses.slice(0, 3)) {
    if (!guesses.some((other) => other.label === guess.label)) guesses.push(guess);
  }
  return guesses.map(({ label, name }) => ({ name, before: whole.probabilities[label], now: now.probabilities[label] }))
    .sort((a, b) => b.now - a.now);
}

function showChange(whole, now) {
  const was = whole.guesses[0], is = now.guesses[0];
  $("change").textContent = now === whole ? "" : was.label === is.label
    ? `Still ${shortName(is.name)}: ${percent(was.probability)} with the whole net, ${percent(is.probability)} now. Lines in the bars mark the whole net.`
    : `${shortName(was.name)} (${percent(was.probability)}) became ${shortName(is.name)} (${percent(is.probability)}). Lines in the bars mark the whole net.`;
}

function layersOf(answer) {
  return answer.layers.map((layer) => {
    const bytes = bytesOf(layer.values), share = layer.maps / state.model.columns, one = layer.height * layer.width;
    const columns = Array.from({ length: state.model.columns }, (_, column) => ({
      bytes: bytes.subarray(column * share * one, (column + 1) * share * one),
      count: share, height: layer.height, width: layer.width,
    }));
    return { ...layer, columns };
  });
}

/** Show a map of a layer. map: its number in the column, or null for the one with the largest activation. */
function choose(name, column, map) {
  const layer = state.layers.find((one) => one.name === name) || state.layers[0];
  state.chosen = { layer: layer.name, column, map: map ?? strongest(layer.columns[column]) };
  for (const box of document.querySelectorAll("button.box")) {
    box.setAttribute("aria-pressed", String(box.dataset.layer === layer.name && Number(box.dataset.column) === column));
  }
  if (layer !== state.shown) showLayer(layer);
  showMap(layer);
}

function strongest(maps) {
  const place = maps.bytes.reduce((best, value, number) => (value > maps.bytes[best] ? number : best), 0);
  return Math.floor(place / (maps.height * maps.width));
}

function showLayer(layer) {
  state.shown = layer;
  $("detail").hidden = false;
  $("detail-title").textContent = `${layer.name}: ${sizeOf({ ...layer, count: layer.maps })}`;
  $("detail-text").textContent = `${LAYER_TEXTS[layer.name] || ""}${reads(layer)} ${percent(layer.active)} of its neurons are active on this image; the largest activation is ${layer.largest.toFixed(1)}.`;
  $("sheets").replaceChildren(...layer.columns.map((maps, number) => sheet(layer, maps, number)));
}

function sheet(layer, maps, column) {
  const neurons = maps.height * maps.width === 1;
  const across = neurons ? tilesAcross(maps.count, 1, 1, 4) : tilesAcross(maps.count, maps.width, maps.height, 2.4);
  const gap = neurons ? 0 : Math.max(1, Math.round(maps.width / 13));
  const name = state.model.columns > 1 ? `Column ${column + 1}` : "The layer";
  const canvas = element("canvas");
  drawMaps(canvas, maps, COLUMN[column % 2], across, gap);
  const tile = { height: maps.height, width: maps.width, gap, across, count: maps.count };
  const frame = sheetOf(canvas, `${name} of ${layer.name}: ${sizeOf(maps)}`, tile, (number) => choose(layer.name, column, number));
  const caption = element("figcaption", {}, element("b", { className: `${COLUMN[column % 2]}-text` }, name), `: ${sizeOf(maps)}`);
  return element("figure", {}, frame, caption);
}

/** The chosen map over the image, and in words. */
function showMap(layer) {
  const { column, map } = state.chosen, maps = layer.columns[column], one = maps.height * maps.width;
  const values = maps.bytes.subarray(map * one, (map + 1) * one);
  const peak = values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
  const share = (values[peak] / 255) ** 2;
  const active = values.reduce((count, value) => count + (value > 0), 0);
  const neurons = one === 1;
  drawOverlay($("overlay"), state.image, state.model.input_size, maps, map, COLUMN[column % 2]);
  $("map-name").textContent = `${neurons ? "neuron" : "map"} ${map + 1} of ${maps.count}${state.model.columns > 1 ? `, column ${column + 1}` : ""}`;
  const text = state.without.has(`column${column + 1}`) ? "This column is left out."
    : values[peak] === 0 ? "Silent on this image."
    : neurons ? `Its activation is ${percent(share)} of the layer’s largest. It has no place in the image: it has read all of it.`
    : `Active at ${percent(active / one)} of its places, most at the ${placeOf(peak, maps)}: ${percent(share)} of the layer’s largest activation.`;
  $("map-text").textContent = text;
  [...$("sheets").querySelectorAll(".sheet")].forEach((sheet, place) => sheet.mark(place === column ? map : null, `${$("map-name").textContent}. ${text}`));
  showKernel(layer, column, map);
  $("overlay").setAttribute("aria-label", `${layer.name}, ${$("map-name").textContent}, over the image. ${text}`);
}

/** The kernel of a map of layer 1, here and in section 3. */
function showKernel(layer, column, map) {
  const known = layer.name === "conv1" && state.kernels;
  $("kernel-of").hidden = !known;
  if (!known) { markKernel(null, null); return; }
  markKernel(column, map);
  drawKernels($("kernel"), state.kernels, column * layer.columns[column].count + map, 1, 1);
}

function step(by) {
  const layer = state.layers.find((one) => one.name === state.chosen.layer);
  if (!layer) return;
  const count = layer.columns[state.chosen.column].count;
  choose(layer.name, state.chosen.column, (state.chosen.map + by + count) % count);
}

function makeSwitches() {
  $("switch-list").replaceChildren(...state.model.switches.map((name) => {
    const input = element("input", { type: "checkbox", id: `without-${name}`, name });
    input.setAttribute("role", "switch");
    input.addEventListener("change", () => {
      if (input.checked) state.without.add(name); else state.without.delete(name);
      lockLastColumn();
      attempt(compute);
    });
    const [title, text] = SWITCHES[name];
    return element("label", { className: "switch" }, input, element("span", {}, title, element("span", { className: "fine" }, ` – ${text}`)));
  }));
}

/** Without any column there is no net: the last one cannot be left out. */
function lockLastColumn() {
  const columns = [...document.querySelectorAll("#switch-list input")].filter((input) => input.name.startsWith("column"));
  for (const input of columns) {
    input.disabled = !input.checked && columns.filter((other) => !other.checked).length === 1;
  }
}

function makeExamples(count) {
  $("examples").hidden = count === 0;
  const show = async (button, path) => {
    for (const other of $("example-list").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    take(await (await fetch(path)).blob());
  };
  $("example-list").replaceChildren(...Array.from({ length: count }, (_, number) => {
    const path = `examples/${number}`;
    const button = element("button", { type: "button" }, element("img", { src: path, alt: `Validation image ${number + 1}`, loading: "lazy" }));
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => show(button, path));
    return element("li", {}, button);
  }));
  const first = $("example-list").querySelector("button");
  if (first) show(first, "examples/0");
}

function own(file) {
  for (const button of $("example-list").querySelectorAll("button")) button.setAttribute("aria-pressed", "false");
  take(file);
}

function listen() {
  const drop = $("drop");
  $("file").addEventListener("change", (event) => { own(event.target.files[0]); event.target.value = ""; });
  document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    own(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => own([...event.clipboardData.files][0]));
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
}

/** What the page says of the net. */
function introduce(model) {
  for (const place of document.querySelectorAll("[data-fact]")) {
    place.textContent = { classes: String(model.classes), name: model.name }[place.dataset.fact];
  }
  for (const text of document.querySelectorAll(".two-columns")) text.hidden = model.columns !== 2;
  if (model.facts.sentence) $("about").textContent = model.facts.sentence;
  $("facts").textContent = model.facts.details || "";
  $("curl").textContent = `curl --data-binary @photo.jpg '${location.origin}/predict?views=10&top=5'`;
  $("similar-empty").textContent = model.searchable
    ? `The nearest of ${model.searchable.toLocaleString("en")} training images appear here with the first image.`
    : "The nearest training images appear here where the server is started with --data, and alexnet-tools similar has once computed their activations.";
}

async function begin() {
  try {
    const model = state.model = await ask("model");
    introduce(model);
    makeSwitches();
    listen();
    if (model.columns) {
      const kernels = await ask("kernels");
      state.kernels = { ...kernels, bytes: bytesOf(kernels.values) };
      showKernels(state.kernels, (column, map, mouse) => {
        if (!state.layers.length) return;
        choose("conv1", column, map);
        if (mouse) $("detail").scrollIntoView({ behavior: "smooth" });
      });
    } else {
      $("layers-empty").textContent = $("kernels-empty").textContent;
      for (const text of document.querySelectorAll(".inside")) text.hidden = true;
    }
    makeExamples(model.examples);
    document.body.dataset.ready = "true";
  } catch (error) {
    $("problem").textContent = error.message;
  }
}

begin();
