// The figures in a chart's legend follow the pointer.
for (const figure of document.querySelectorAll("figure[data-points]")) {
  const points = JSON.parse(figure.dataset.points), svg = figure.querySelector("svg");
  const cursor = figure.querySelector(".cursor"), place = figure.querySelector("output");
  const values = [...figure.querySelectorAll(".legend b")], last = values.map(v => v.textContent);
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const point = points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
    cursor.setAttribute("x1", point[0]);
    cursor.setAttribute("x2", point[0]);
    place.textContent = point[1];
    values.forEach((v, i) => v.textContent = point[i + 2]);
    figure.classList.add("pointed");
  });
  svg.addEventListener("pointerleave", () => {
    place.textContent = "";
    values.forEach((v, i) => v.textContent = last[i]);
    figure.classList.remove("pointed");
  });
}
