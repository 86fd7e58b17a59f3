"use strict";
// Bytes from the server, drawn: tiles of maps and kernels, and one map laid over the image.

const RAMPS = {  // black, a column's colour, white: its bright end says "strongly active"
  one: [[0, 0, 0], [0, 114, 178], [190, 228, 255], [255, 255, 255]],
  two: [[0, 0, 0], [190, 84, 0], [255, 205, 140], [255, 255, 255]],
};

function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The colour table of a ramp: 256 × RGB. */
function table(ramp) {
  const stops = RAMPS[ramp];
  const colours = new Uint8Array(768);
  for (let value = 0; value < 256; value++) {
    const place = value / 255 * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      colours[3 * value + c] = stops[below][c] + (place - below) * (stops[below + 1][c] - stops[below][c]);
    }
  }
  return colours;
}

const TABLES = { one: table("one"), two: table("two") };

/** How many tiles of this shape lie in a row so that the sheet is about `ratio` times as wide as high. */
function tilesAcross(count, width, height, ratio) {
  return Math.max(1, Math.min(count, Math.round(Math.sqrt(count * ratio * height / width))));
}

/** Maps of one column as a sheet of tiles. maps: {bytes, count, height, width}; gap: pixels between tiles. */
function drawMaps(canvas, maps, ramp, across, gap) {
  const down = Math.ceil(maps.count / across);
  canvas.width = across * (maps.width + gap) - gap;
  canvas.height = down * (maps.height + gap) - gap;
  const context = canvas.getContext("2d");
  const sheet = context.createImageData(canvas.width, canvas.height);
  const colours = TABLES[ramp];
  for (let i = 3; i < sheet.data.length; i += 4) sheet.data[i] = gap ? 0 : 255;
  for (let number = 0; number < maps.count; number++) {
    const left = (number % across) * (maps.width + gap);
    const top = Math.floor(number / across) * (maps.height + gap);
    let from = number * maps.width * maps.height;
    for (let y = 0; y < maps.height; y++) {
      let to = 4 * ((top + y) * canvas.width + left);
      for (let x = 0; x < maps.width; x++, to += 4) {
        const colour = 3 * maps.bytes[from++];
        sheet.data[to] = colours[colour];
        sheet.data[to + 1] = colours[colour + 1];
        sheet.data[to + 2] = colours[colour + 2];
        sheet.data[to + 3] = 255;
      }
    }
  }
  context.putImageData(sheet, 0, 0);
}

/** RGB tiles: the kernels `first` to `first + count` of Fig. 3. */
function drawKernels(canvas, kernels, first, count, across) {
  const { height, width } = kernels;
  canvas.width = across * (width + 1) - 1;
  canvas.height = Math.ceil(count / across) * (height + 1) - 1;
  const context = canvas.getContext("2d");
  for (let number = 0; number < count; number++) {
    const tile = context.createImageData(width, height);
    let from = 3 * (first + number) * height * width;
    for (let to = 0; to < tile.data.length; to += 4) {
      tile.data[to] = kernels.bytes[from++];
      tile.data[to + 1] = kernels.bytes[from++];
      tile.data[to + 2] = kernels.bytes[from++];
      tile.data[to + 3] = 255;
    }
    context.putImageData(tile, (number % across) * (width + 1), Math.floor(number / across) * (height + 1));
  }
}

/** The centre view of an image. */
function drawCentre(canvas, image, size) {
  const offset = (image.width - size) / 2;
  canvas.getContext("2d").drawImage(image, offset, offset, size, size, 0, 0, canvas.width, canvas.height);
}

/** One map over the dimmed centre view: where in the image it is active. A neuron without a place leaves it as it is. */
function drawOverlay(canvas, image, size, maps, number, ramp) {
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "source-over";
  context.imageSmoothingEnabled = true;
  context.clearRect(0, 0, canvas.width, canvas.height);
  drawCentre(canvas, image, size);
  if (maps.width * maps.height === 1) return;
  context.fillStyle = "rgba(0, 0, 0, 0.62)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const small = document.createElement("canvas");
  const one = maps.width * maps.height;
  drawMaps(small, { ...maps, bytes: maps.bytes.subarray(number * one, (number + 1) * one), count: 1 }, ramp, 1, 0);
  context.globalCompositeOperation = "lighter";  // black adds nothing
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-over";
}
