"use strict";
(() => {
  const figure = document.currentScript.closest(".cell-map");
  const find = (what) => figure.querySelector(what);
  const data = JSON.parse(find(".cell-map-data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const at = new Int16Array(bytes(data.xy).buffer), owner = new Uint16Array(bytes(data.patient).buffer);
  const adds = data.contribution && new Float32Array(bytes(data.contribution).buffer);
  const sprite = data.sheets && new Uint16Array(bytes(data.place).buffer), sheets = [];
  const canvas = find(".cell-map-points"), choice = find("select"), legend = find(".cell-map-legend");
  const picture = find(".cell-map-picture"), words = find("dl"), link = find(".cell-map-link"), said = find("[role=status]");
  const n = owner.length, known = ["reactive", "malignant", "not known"];
  const classOf = (cell) => known.at(data.patients[owner[cell]].label);
  let colours = [], places = [], colouring = data.colourings[0], steps = null, chosen = -1, waiting = false;

  // Colours: variables of the style sheet, and mixtures of them.
  const ink = canvas.getContext("2d");
  const variable = (name) => getComputedStyle(figure).getPropertyValue(`--${name}`).trim();
  const parts = (colour) => { ink.fillStyle = colour; return [1, 3, 5].map((k) => parseInt(ink.fillStyle.slice(k, k + 2), 16)); };
  const mixed = (a, b, share) => { const other = parts(b); return `rgb(${parts(a).map((v, k) => Math.round(v + share * (other[k] - v)))})`; };
  function ramp(stops) {
    const last = stops.length - 1;
    const one = (share) => { const k = Math.min(last - 1, Math.floor(share * last)); return mixed(stops[k], stops[k + 1], share * last - k); };
    return Array.from({ length: 255 }, (_, step) => one(step / 254));
  }
  function stops() {
    const [paper, muted, main, strong] = ["card", "muted", "main", "ink"].map(variable);
    if (colouring.kind === "diverging") return [variable("reactive"), mixed(paper, muted, 0.45), variable("malignant")];
    return [mixed(paper, main, 0.25), main, mixed(main, strong, 0.85)];
  }
  const ofClass = (name) => variable(name === "not known" ? "other" : name);
  function ofPatient(k) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return `hsl(${(k * 222.5) % 360} ${dark ? 65 : 60}% ${(dark ? 58 : 42) + 8 * (k % 3 - 1)}%)`;
  }
  function recolour() {
    const cells = Array.from({ length: n }, (_, cell) => cell);
    legend.textContent = "";
    if (colouring.kind === "class") {
      const each = Object.fromEntries(known.map((name) => [name, ofClass(name)]));
      colours = cells.map((cell) => each[classOf(cell)]);
      for (const name of ["malignant", "reactive", "not known"]) {
        const count = cells.filter((cell) => classOf(cell) === name).length;
        if (count) swatch(each[name], `${name}: ${count.toLocaleString("en")} cells`);
      }
    } else if (colouring.kind === "patient") {
      colours = cells.map((cell) => ofPatient(owner[cell]));
      add(legend, "span", "A colour for each patient. The cells of the patient pointed at stand out.");
    } else {
      const table = ramp(stops());
      colours = cells.map((cell) => steps[cell] === 255 ? variable("grid") : table[steps[cell]]);
      scale(table);
      if (colouring.meaning) add(legend, "span", colouring.meaning);
      if (steps.includes(255)) swatch(variable("grid"), "not known");
    }
    draw();
  }
  function add(parent, kind, text) { const made = document.createElement(kind); made.textContent = text; parent.append(made); return made; }
  function swatch(colour, text) { const made = add(legend, "span", text), box = document.createElement("i"); box.style.background = colour; made.prepend(box); }
  function scale(table) {
    const made = add(legend, "span", ""), [low, high] = colouring.ends;
    made.className = "cell-map-scale";
    add(made, "b", `≤ ${worded(colouring.low, true)} ${low}`.trim());
    add(made, "i", "").style.background = `linear-gradient(to right, ${[0, 64, 127, 190, 254].map((k) => table[k])})`;
    add(made, "b", `≥ ${worded(colouring.high, true)} ${high}`.trim());
  }
  function worded(value, unit) {
    const digits = value === 0 ? 0 : Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(Math.abs(value)))));
    const text = value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits,
      signDisplay: colouring.kind === "diverging" ? "exceptZero" : "auto" }).replace("-", "−");
    return unit && colouring.unit ? `${text} ${colouring.unit}` : text;
  }

  // Points: as large as the canvas allows, sharp on every screen.
  function fit() {
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
    if (!width) return;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    let [across, down] = [1, 1];
    for (let k = 0; k < n; k++) { across = Math.max(across, Math.abs(at[2 * k])); down = Math.max(down, Math.abs(at[2 * k + 1])); }
    const zoom = Math.min((width - 24) / 2 / across, (height - 24) / 2 / down);
    places = Array.from({ length: n }, (_, k) => [width / 2 + zoom * at[2 * k], height / 2 + zoom * at[2 * k + 1]]);
    draw();
  }
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const size = Math.max(1.6, Math.min(4.5, canvas.clientWidth / Math.sqrt(n) / 7));
      ink.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
      const dot = (cell, radius) => { ink.beginPath(); ink.arc(...places[cell], radius, 0, 7); };
      const mine = chosen < 0 ? [] : places.map((_, cell) => cell).filter((cell) => owner[cell] === owner[chosen]);
      ink.globalAlpha = chosen >= 0 && colouring.kind === "patient" ? 0.2 : 0.85;
      for (let cell = 0; cell < places.length; cell++) { ink.fillStyle = colours[cell]; dot(cell, size); ink.fill(); }
      ink.globalAlpha = 1;
      ink.strokeStyle = variable("ink");
      ink.lineWidth = 1;
      for (const cell of mine) { ink.fillStyle = colours[cell]; dot(cell, size + 0.5); ink.fill(); ink.stroke(); }
      if (chosen >= 0) { ink.lineWidth = 2.5; dot(chosen, size + 5); ink.stroke(); }
    });
  }

  // The cell that is chosen: its picture, whose it is, what it adds.
  function choose(cell, aloud) {
    if (cell === chosen) return;
    chosen = cell;
    draw();
    words.hidden = cell < 0;
    link.hidden = true;
    words.textContent = "";
    canvas.dataset.cell = cell;
    paint(cell);
    if (cell < 0) return;
    const patient = data.patients[owner[cell]], name = `${patient.name}, ${data.images[cell]}`;
    const rows = [["Cell", name], ["Class", classOf(cell)]];
    if (adds && adds[cell] === adds[cell]) rows.push(["Contribution", contribution(adds[cell])]);
    if (steps && colouring.kind === "sequential") rows.push([colouring.title, valueOf(cell)]);
    for (const [title, text] of rows) { add(words, "dt", title); add(words, "dd", text); }
    if (document.getElementById(patient.anchor)) {
      link.hidden = false;
      link.firstChild.textContent = `Page of ${patient.name}`;
      link.firstChild.href = `#${patient.anchor}`;
    }
    if (aloud) said.textContent = rows.map((row) => row.join(": ")).join("; ");
  }
  const contribution = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toPrecision(2)} ${value < 0 ? "towards reactive" : value > 0 ? "towards malignant" : ""}`.trim();
  function valueOf(cell) {
    const step = steps[cell];
    if (step === 255) return "not known";
    const about = step === 0 ? "at most" : step === 254 ? "at least" : "about";
    return `${about} ${worded(colouring.low + step / 254 * (colouring.high - colouring.low), true)}`;
  }
  function paint(cell) {
    picture.hidden = cell < 0 || !data.sheets;
    picture.textContent = "";
    if (!picture.hidden) picture.append(fromPage(cell) || fromSheet(cell) || document.createTextNode("The image file was not found, or is another one now."));
  }
  function fromPage(cell) { // a copy of what stands on the patient's page
    const page = document.getElementById(data.patients[owner[cell]].anchor);
    const name = page && [...page.querySelectorAll("li .name")].find((one) => one.textContent === data.images[cell]);
    const copy = name && name.parentNode.querySelector("img, i")?.cloneNode();
    if (!copy) return null;
    copy.removeAttribute("loading");
    const list = name.closest("ul").style;
    if (copy.tagName === "I") for (const one of ["--sheet", "--columns", "--lines"]) copy.style.setProperty(one, list.getPropertyValue(one));
    return copy;
  }
  function fromSheet(cell) {
    if (sprite[cell] === 65535) return null;
    const side = data.side, sheet = Math.floor(sprite[cell] / data.each), place = sprite[cell] % data.each;
    const made = document.createElement("canvas");
    made.width = made.height = side;
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", `cell, ${data.images[cell]}`);
    if (!sheets[sheet]) { sheets[sheet] = new Image(); sheets[sheet].src = `data:image/webp;base64,${data.sheets[sheet]}`; }
    const paste = () => made.getContext("2d").drawImage(sheets[sheet], side * (place % data.columns), side * Math.floor(place / data.columns), side, side, 0, 0, side, side);
    if (sheets[sheet].complete) paste(); else sheets[sheet].addEventListener("load", paste, { once: true });
    return made;
  }

  // Pointer, touch and keys.
  function near(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, least = event.pointerType === "mouse" ? 400 : 1600;
    places.forEach(([a, b], cell) => { const far = (a - x) ** 2 + (b - y) ** 2; if (far < least) { least = far; best = cell; } });
    return best;
  }
  canvas.addEventListener("pointermove", (event) => { const cell = near(event); if (cell >= 0) choose(cell); });
  canvas.addEventListener("pointerdown", (event) => choose(near(event)));
  canvas.addEventListener("click", (event) => { if (event.detail === 2) link.firstChild.click(); });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" && !link.hidden) link.firstChild.click();
    if (event.key === "Escape") choose(-1);
    if (!way) return;
    event.preventDefault();
    const [x, y] = chosen < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : places[chosen];
    let best = chosen, least = Infinity;
    places.forEach(([a, b], cell) => {
      const along = (a - x) * way[0] + (b - y) * way[1], aside = Math.abs((a - x) * way[1] + (b - y) * way[0]);
      if (cell !== chosen && along > 0 && along >= aside && along + 2 * aside < least) { least = along + 2 * aside; best = cell; }
    });
    choose(best < 0 ? 0 : best, true);
  });
  choice.addEventListener("change", () => {
    colouring = data.colourings.find((one) => one.key === choice.value);
    steps = colouring.values ? bytes(colouring.values) : null;
    const cell = chosen;
    chosen = -2;
    recolour();
    choose(cell);
  });

  find(".cell-map-live").hidden = false;
  figure.classList.add("cell-map-alive");
  choice.value = colouring.key;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  canvas.addEventListener("contextrestored", fit); // a GPU that was reset leaves the canvas empty
  new ResizeObserver(fit).observe(canvas);
  fit();
  recolour();
})();
