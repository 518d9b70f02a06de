// Runs in a page that shows the large clip of `loadtest/browser/fake_devices.py`: says of every picture of a video
// how far it is from the picture of the clip that it looks like most, in steps of luma. Rows of the clip are all the
// same, so a few rows of a few columns are enough, and blocks of another picture stand out.
(selector) => {
  const [FRAMES, COLUMNS, ROWS, BAR] = [30, 160, 12, 80 / 960];
  const clip = Array.from({ length: FRAMES }, (_, frame) => Array.from({ length: COLUMNS }, (_, column) => {
    const at = (column + 0.5) / COLUMNS;
    const start = frame / FRAMES;
    if (at >= start && at < start + BAR) return 235;
    return 40 + 160 * ((at - start + 1) % 1);
  }));
  const canvas = new OffscreenCanvas(COLUMNS, ROWS);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  // Video is drawn in full range: black is 0 there and 16 in the clip.
  const luma = (level) => ((level - 16) * 255) / 219;
  const farthest = (expected, bytes) => {
    let worst = 0;
    for (let row = 0; row < ROWS; row += 1) {
      let sum = 0;
      for (let column = 0; column < COLUMNS; column += 1) {
        sum += Math.abs(bytes[4 * (row * COLUMNS + column) + 1] - luma(expected[column]));
      }
      worst = Math.max(worst, sum / COLUMNS);
    }
    return worst;
  };
  const pictures = (globalThis.pictures = []);
  const video = document.querySelector(selector);
  const look = (_now, { width }) => {
    context.drawImage(video, 0, 0, COLUMNS, ROWS);
    const { data } = context.getImageData(0, 0, COLUMNS, ROWS);
    const off = Math.min(...clip.map((expected) => farthest(expected, data)));
    if (pictures.length < 5000) pictures.push([width, off]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}
