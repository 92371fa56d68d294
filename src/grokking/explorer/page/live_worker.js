"use strict";
// Trains one network beside the page, and reports after each step until it is stopped.

let run = 0;  // a new one ends the one before

onmessage = async ({ data }) => {
  const mine = ++run;
  if (!data.recipe) return;
  const products = await WebAssembly.compile(data.products);
  const { weights, trained } = begin(data.recipe, data.seed);
  const network = new LiveNetwork(data.recipe, products, weights, trained);
  postMessage({ trained, ...network.measure() });
  while (mine === run && network.step < data.steps) {
    network.update();
    postMessage(network.measure());
    await new Promise(resolve => setTimeout(resolve));  // lets a message in
  }
};
