/** Photos of documents as the server takes them: cameras make them a hundred times larger. */

import { PHOTO_BYTES } from "./answers.js";

/** Pixels a side, as the server has it. */
const MAX_SIDE = 2048;
const SIDES = [1280, 960, 720, 540, 400];
const QUALITIES = [0.85, 0.7];

/**
 * The file itself where it is small enough, else a smaller JPEG of it: the largest that is.
 *
 * @param {Blob} file
 * @returns {Promise<Blob | null>} Null: the browser can't read it as a picture.
 */
export async function fittingPhoto(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return null;
  try {
    const longest = Math.max(picture.width, picture.height);
    if (file.size <= PHOTO_BYTES && longest <= MAX_SIDE) return file;
    for (const side of SIDES) {
      for (const quality of QUALITIES) {
        const smaller = await drawn(picture, Math.min(1, side / longest), quality);
        if (smaller && smaller.size <= PHOTO_BYTES) return smaller;
      }
    }
    return null;
  } finally {
    picture.close();
  }
}

/**
 * @param {ImageBitmap} picture
 * @param {number} scale
 * @param {number} quality 0 to 1.
 * @returns {Promise<Blob | null>}
 */
function drawn(picture, scale, quality) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const context = canvas.getContext("2d");
  if (!context) return Promise.resolve(null);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}
