// The `modulepreload` links of the call page: every module it imports, so that a browser asks for all of them at once and
// not for one level of imports after the other. `node tools/modulepreload.mjs --write` puts them into the page.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const WEB = new URL("../web/", import.meta.url);
export const PAGE = new URL("app/index.html", WEB);
const ENTRY = "/app/main.js";
const IMPORT = /^(?:import|export)\s(?:[^"';]*?\sfrom\s)?"([^"]+)"/gm;
const LINKS = /(?:^ *<link rel="modulepreload" href="[^"]*">\n)+/m;

/** @returns {Promise<Map<string, number>>} Address of every module, and how many imports lead to it; nearest first. */
export async function moduleGraph() {
  const depths = new Map([[ENTRY, 0]]);
  for (const [address, depth] of depths) {
    const source = await readFile(new URL(`.${address}`, WEB), "utf8");
    for (const [, specifier] of source.matchAll(IMPORT)) {
      const found = new URL(specifier, `http://page${address}`).pathname;
      if (!depths.has(found)) depths.set(found, depth + 1);
    }
  }
  return depths;
}

/** @returns {Promise<string>} The page with the links it should have. */
export async function pageWithLinks() {
  const addresses = [...(await moduleGraph()).keys()].filter((address) => address !== ENTRY);
  const links = addresses.map((address) => `  <link rel="modulepreload" href="${address}">\n`).join("");
  return (await readFile(PAGE, "utf8")).replace(LINKS, links);
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv.includes("--write")) await writeFile(PAGE, await pageWithLinks());
