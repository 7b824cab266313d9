"use strict";

// The page is complete without this script. The script adds zooming, and reading values with pointer and keyboard.

for (const figure of document.querySelectorAll(".flame")) {
  const list = figure.querySelector("ol");
  const frames = Array.from(list.children, (element) => ({
    element,
    start: Number(element.dataset.start),
    width: Number(element.dataset.width),
    level: Number(element.dataset.level),
  }));
  if (frames.length === 0) continue;
  const readout = document.createElement("output");
  const advice = "Click or press Enter to zoom, arrow keys to walk, Escape to zoom out.";
  readout.textContent = advice;
  list.after(readout);

  // The frames are a tree with one stop for the Tab key; the arrow keys walk from there.
  list.setAttribute("role", "tree");
  for (const frame of frames) {
    frame.element.setAttribute("role", "treeitem");
    frame.element.setAttribute("aria-level", String(frame.level + 1));
    frame.element.setAttribute("aria-label", frame.element.title);
    frame.element.tabIndex = -1;
  }
  frames[0].element.tabIndex = 0;
  let current = frames[0];
  let zoomed = null;

  const contains = (outer, inner) =>
    inner.start >= outer.start - 1e-6 && inner.start + inner.width <= outer.start + outer.width + 1e-6;
  const isShown = (frame) => !frame.element.hidden;

  const zoom = (target) => {
    zoomed = target;
    figure.classList.add("zooms");
    for (const frame of frames) {
      const below = !target || (frame.level >= target.level && contains(target, frame));
      const around = Boolean(target) && frame.level < target.level && contains(frame, target);
      frame.element.hidden = !below && !around;
      frame.element.classList.toggle("around", around);
      const start = !target || around ? (around ? 0 : frame.start) : (frame.start - target.start) / target.width;
      const width = !target || around ? (around ? 1 : frame.width) : frame.width / target.width;
      frame.element.style.left = `${100 * start}%`;
      frame.element.style.width = `${100 * width}%`;
    }
  };
  const focus = (frame) => {
    if (!frame) return;
    current.element.tabIndex = -1;
    current = frame;
    frame.element.tabIndex = 0;
    frame.element.focus();
  };
  const beside = (direction) => {
    const level = frames.filter((frame) => frame.level === current.level && isShown(frame));
    level.sort((one, other) => one.start - other.start);
    return level[level.indexOf(current) + direction];
  };
  const frameOf = (event) => {
    const element = event.target.closest("li");
    return frames.find((frame) => frame.element === element);
  };

  list.addEventListener("click", (event) => {
    const frame = frameOf(event);
    if (!frame) return;
    zoom(frame === zoomed || frame.level === 0 ? null : frame);
    focus(frame);
  });
  list.addEventListener("keydown", (event) => {
    const walk = {
      ArrowLeft: () => focus(beside(-1)),
      ArrowRight: () => focus(beside(1)),
      ArrowUp: () => focus(frames.find((frame) => frame.level === current.level - 1 && contains(frame, current))),
      ArrowDown: () => focus(frames.find((frame) => frame.level === current.level + 1 && contains(current, frame))),
      Home: () => focus(frames[0]),
      Enter: () => zoom(current === zoomed || current.level === 0 ? null : current),
      " ": () => zoom(current === zoomed || current.level === 0 ? null : current),
      Escape: () => zoom(null),
    }[event.key];
    if (!walk || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    walk();
  });
  const tell = (event) => {
    const frame = frameOf(event);
    readout.textContent = frame ? frame.element.getAttribute("aria-label") : advice;
  };
  list.addEventListener("pointerover", tell);
  list.addEventListener("focusin", tell);
  list.addEventListener("pointerleave", () => { readout.textContent = advice; });
}

for (const figure of document.querySelectorAll(".levels")) {
  const levels = figure.dataset.levels.split(" ").map(Number);
  const interval = Number(figure.dataset.interval);
  const drawing = figure.querySelector("svg");
  const readout = figure.querySelector("output");
  const most = readout.textContent;
  const number = new Intl.NumberFormat("en");
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const index = Math.min(levels.length - 1, Math.max(0, Math.floor(share * levels.length)));
    readout.textContent = `${number.format(levels[index])} B from instruction ${number.format(index * interval)} on; ${most}`;
  });
  drawing.addEventListener("pointerleave", () => { readout.textContent = most; });
}
