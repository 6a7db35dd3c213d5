// A grey PNG of 8 bits, which a canvas cannot write.

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const crc = bytes => {
  let found = 0xffffffff;
  for (const byte of bytes) found = table[(found ^ byte) & 255] ^ (found >>> 8);
  return (found ^ 0xffffffff) >>> 0;
};

function chunk(name, content) {
  const found = new Uint8Array(12 + content.length);
  const view = new DataView(found.buffer);
  view.setUint32(0, content.length);
  found.set([...name].map(letter => letter.charCodeAt(0)), 4);
  found.set(content, 8);
  view.setUint32(8 + content.length, crc(found.subarray(4, 8 + content.length)));
  return found;
}

/** The file of an image of grey values, row by row. */
export async function greyPng(grey, width, height) {
  const rows = new Uint8Array((width + 1) * height); // each row begins with its filter: 0, none
  for (let row = 0; row < height; row++) rows.set(grey.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  const packed = await new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head[8] = 8;
  const sign = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const chunks = [chunk("IHDR", head), chunk("IDAT", new Uint8Array(packed)), chunk("IEND", new Uint8Array())];
  return new Blob([sign, ...chunks], { type: "image/png" });
}
