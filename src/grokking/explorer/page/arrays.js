// Arrays of the page: compressed bytes in base64, with their type and shape.

const KINDS = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array };

async function unpack(packed) {
  const bytes = fromBase64(packed.data);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  return { values: new KINDS[packed.type](buffer), shape: packed.shape };
}

function fromBase64(text) { return Uint8Array.from(atob(text), letter => letter.charCodeAt(0)); }

// The part of an array that belongs to one snapshot.
function frame(array, index) {
  const size = array.shape.slice(1).reduce((product, n) => product * n, 1);
  return array.values.subarray(index * size, (index + 1) * size);
}

const percent = share => `${(100 * share).toFixed(share > 0.99 && share < 1 ? 1 : 0)} %`;
const whole = number => number.toLocaleString("en");
