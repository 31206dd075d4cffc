// The graph of neurons: one node at a time is lit, with its edges and its card.

function choose(graph, name) {
  for (const each of graph.querySelectorAll(".node")) {
    each.classList.toggle("chosen", each.dataset.node === name);
  }
  for (const each of graph.querySelectorAll(".edge")) {
    each.classList.toggle("into", each.dataset.to === name);
    each.classList.toggle("out-of", each.dataset.from === name);
  }
  for (const each of graph.querySelectorAll(".card")) {
    each.classList.toggle("chosen", each.dataset.card === name);
  }
}

for (const graph of document.querySelectorAll(".programme")) {
  const nodes = [...graph.querySelectorAll(".node")];
  for (const node of nodes) {
    for (const event of ["pointerenter", "focus", "click"]) {
      node.addEventListener(event, () => choose(graph, node.dataset.node));
    }
  }
  choose(graph, graph.querySelector(".forward").closest(".node").dataset.node);
}
