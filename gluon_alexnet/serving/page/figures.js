// The page's figures, each a function of what the server answered.

const $ = (id) => document.getElementById(id);
const COLUMN = ["one", "two"];

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const percent = (p) => `${(100 * p).toFixed(1)}\u00a0%`;
const width = (p) => `${(100 * p).toFixed(2)}%`;
const shortName = (name) => name.split(",")[0];

/** The bars. rows: [{name, now, before}], the likeliest first; before is undefined while nothing is left out. */
function showBars(rows) {
  $("bars-empty").hidden = true;
  $("bars").replaceChildren(...rows.map(({ name, now, before }) => {
    const track = element("span", { className: "track" });
    const fill = element("span", { className: "fill" });
    fill.style.width = width(now);
    track.append(fill);
    const number = element("span", { className: "number" }, percent(now));
    if (before !== undefined) {
      const mark = element("span", { className: "before" });
      mark.style.width = width(before);
      track.append(mark);
      number.prepend(element("s", {}, `${percent(before)} → `));
      number.setAttribute("aria-label", `${percent(now)}, with the whole net ${percent(before)}`);
    }
    track.setAttribute("aria-hidden", "true");
    return element("li", {}, element("span", { className: "name", title: name }, shortName(name)), track, number);
  }));
}

const PLACES = ["upper left", "upper right", "lower left", "lower right", "centre"];

/** The ten crops with what the net says of each. */
function showViews(image, size, views, best) {
  $("views-empty").hidden = true;
  const far = image.width - size, middle = far / 2;
  const corners = [[0, 0], [far, 0], [0, far], [far, far], [middle, middle]];
  $("views").replaceChildren(...views.map((guess, number) => {
    const canvas = element("canvas", { width: size, height: size });
    const context = canvas.getContext("2d"), [left, top] = corners[number % 5];
    if (number >= 5) { context.translate(size, 0); context.scale(-1, 1); }
    context.drawImage(image, left, top, size, size, 0, 0, size, size);
    const place = PLACES[number % 5] + (number >= 5 ? ", mirrored" : "");
    canvas.setAttribute("aria-hidden", "true");
    const item = element("li", {}, canvas, element("b", { title: guess.name }, shortName(guess.name)),
      element("span", {}, `${percent(guess.probability)} · ${place}`));
    if (guess.label !== best) {
      item.classList.add("other");
      item.append(element("span", { className: "aloud" }, ", another guess than the ten together"));
    }
    return item;
  }));
}

/** Where the keys lead in a sheet of so many tiles a row. */
function moved(key, number, across, count) {
  const places = { ArrowRight: number + 1, ArrowLeft: number - 1, ArrowDown: number + across, ArrowUp: number - across, Home: 0, End: count - 1 };
  return key in places ? Math.max(0, Math.min(count - 1, places[key])) : undefined;
}

/**
 * A sheet of tiles of which one is marked, by the mouse or, as a slider is moved, by the arrow keys.
 * chosen: called with the number of a tile, and whether it was the mouse.
 */
function sheetOf(canvas, name, tile, chosen) {
  const frame = element("span", { className: "sheet choosable", tabIndex: 0, role: "slider", "aria-label": name,
    "aria-valuemin": 1, "aria-valuemax": tile.count }, canvas);
  let marked = null;
  frame.addEventListener("keydown", (event) => {
    const place = marked === null ? 0 : moved(event.key, marked, tile.across, tile.count);
    if (place === undefined || !event.key.match(/^(Arrow|Home$|End$)/)) return;
    event.preventDefault();
    chosen(place, false);
  });
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) / box.width * canvas.width / (tile.width + tile.gap));
    const y = Math.floor((event.clientY - box.top) / box.height * canvas.height / (tile.height + tile.gap));
    if (x < tile.across && y * tile.across + x < tile.count) chosen(y * tile.across + x, true);
  });
  frame.mark = (number, text) => {
    marked = number;
    frame.querySelector(".marker")?.remove();
    frame.setAttribute("aria-valuenow", number === null ? 1 : number + 1);
    frame.setAttribute("aria-valuetext", number === null ? "none chosen" : text);
    if (number === null) return;
    const marker = element("span", { className: "marker" });
    const share = (pixels, all) => `${100 * pixels / all}%`;
    marker.style.left = share((number % tile.across) * (tile.width + tile.gap), canvas.width);
    marker.style.top = share(Math.floor(number / tile.across) * (tile.height + tile.gap), canvas.height);
    marker.style.width = share(tile.width, canvas.width);
    marker.style.height = share(tile.height, canvas.height);
    frame.append(marker);
  };
  frame.mark(null);
  return frame;
}

/** Fig. 3. chosen: called with (column, number within it, whether by the mouse). */
function showKernels(kernels, chosen) {
  $("kernels-empty").hidden = true;
  const { height, width, columns } = kernels, count = kernels.kernels / columns;
  const across = Math.min(16, count);
  const size = `${count} kernels of ${height}×${width}×3`;
  $("kernels").replaceChildren(...Array.from({ length: columns }, (_, column) => {
    const name = columns > 1 ? `Column ${column + 1}` : "Layer 1";
    const canvas = element("canvas");
    drawKernels(canvas, kernels, column * count, count, across);
    const caption = element("figcaption", {}, element("b", { className: COLUMN[column % 2] }, name), `: ${size}`);
    const tile = { height, width, gap: 1, across, count };
    const sheet = sheetOf(canvas, `${name}: ${size}`, tile, (number, mouse) => chosen(column, number, mouse));
    return element("figure", {}, sheet, caption);
  }));
}

function markKernel(column, number) {
  [...$("kernels").querySelectorAll(".sheet")].forEach((sheet, place) => sheet.mark(place === column ? number : null, `kernel ${number + 1}`));
}

const SVG = "http://www.w3.org/2000/svg";

/** The lines between two layers. from, to: places of their boxes, 0 to 100; pairs: which box is joined to which. */
function links(from, to, pairs, turned) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", turned ? "links turned" : "links");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [a, b, column] of pairs) {
    const line = document.createElementNS(SVG, "line");
    const ends = [[0, from[a]], [100, to[b]]].map(([x, y]) => (turned ? [y, x] : [x, y]));
    ["x1", "y1", "x2", "y2"].forEach((name, i) => line.setAttribute(name, ends[i >> 1][i & 1]));
    line.setAttribute("class", COLUMN[column % 2]);
    svg.append(line);
  }
  return svg;
}

/** One box for each layer of each column. guess: of the centre view. chosen: called with (layer, column) of a box. */
function showDiagram(model, image, layers, guess, chosen) {
  $("layers-empty").hidden = true;
  const columns = Array.from({ length: model.columns }, (_, column) => column), boxes = [];
  const apart = columns.map((column) => 100 * (column + 0.5) / model.columns), middle = [50];
  const join = (...between) => boxes.push(links(...between, false), links(...between, true));
  $("diagram").classList.toggle("single", model.columns === 1);
  const centre = element("canvas", { width: model.input_size, height: model.input_size, ariaHidden: "true" });
  drawCentre(centre, image, model.input_size);
  boxes.push(element("div", { className: "box whole" }, centre, element("strong", {}, "image"),
    `${model.input_size}×${model.input_size} pixels`));
  layers.forEach((layer, index) => {
    if (index === 0) join(middle, apart, columns.map((column) => [0, column, column]));
    else if (layer.reads_both) join(apart, apart, columns.flatMap((a) => columns.map((b) => [a, b, a])));
    else join(apart, apart, columns.map((column) => [column, column, column]));
    boxes.push(...columns.map((column) => boxOf(model, layer, column, chosen)));
  });
  join(apart, middle, columns.map((column) => [column, 0, column]));
  boxes.push(element("div", { className: "box whole" }, element("strong", {}, "fc8"), `softmax over ${model.classes} classes: `,
    element("b", {}, `${shortName(guess.name)} ${percent(guess.probability)}`)));
  $("diagram").replaceChildren(...boxes);
}

function boxOf(model, layer, column, chosen) {
  const maps = layer.columns[column], canvas = element("canvas", { ariaHidden: "true" }), size = sizeOf(maps);
  drawMaps(canvas, maps, COLUMN[column % 2], tilesAcross(maps.count, maps.width, maps.height, 1), 0);
  const box = element("button", { type: "button", className: `box ${COLUMN[column % 2]}` }, canvas,
    element("strong", {}, layer.name, element("span", { className: "aloud" }, model.columns > 1 ? `, column ${column + 1}: ` : ": ")), size);
  box.setAttribute("aria-pressed", "false");
  box.dataset.layer = layer.name;
  box.dataset.column = column;
  box.addEventListener("click", () => chosen(layer, column));
  return box;
}

function sizeOf(maps) {
  return maps.height * maps.width === 1 ? `${maps.count} neurons` : `${maps.count} maps ${maps.height}×${maps.width}`;
}

function showSimilar(images) {
  $("similar-empty").hidden = true;
  $("similar").replaceChildren(...images.map(({ label, distance, image }) => element("li", {},
    element("img", { src: image, alt: "" }), element("b", {}, label ? shortName(label) : "class unknown"),
    element("span", {}, `distance ${distance.toFixed(1)}`))));
}

/** In words, where in a map a place lies. */
function placeOf(place, maps) {
  const third = (value, size) => Math.min(2, Math.floor(3 * value / size));
  const row = third(Math.floor(place / maps.width), maps.height), column = third(place % maps.width, maps.width);
  if (row === 1 && column === 1) return "centre";
  return [["upper", "", "lower"][row], ["left", "", "right"][column]].filter(Boolean).join(" ") + (row === 1 ? " side" : column === 1 ? " middle" : "");
}
