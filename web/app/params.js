/**
 * @typedef {import("/sdk/protocol.js").Role} Role
 *
 * @typedef {object} Params What the address of the page says.
 * @property {string | null} token
 * @property {string | null} room
 * @property {Role} role
 * @property {string} name
 * @property {string | null} codec Preferred video codec.
 * @property {import("/sdk/i18n.js").Language | null} language
 * @property {boolean} debug Makes the call reachable for measurements as `globalThis.witness`.
 */

export const ROLES = /** @type {const} */ (["rm", "customer", "expert", "supervisor"]);
const CODECS = ["vp8", "vp9", "h264", "av1"];

/**
 * @param {{ search: string, hash: string }} address
 * @returns {Params}
 */
export function readParams({ search, hash }) {
  const query = new URLSearchParams(search);
  const fragment = new URLSearchParams(hash.replace(/^#/, ""));
  const role = query.get("role");
  const codec = query.get("codec")?.toLowerCase() ?? "";
  const language = query.get("lang");
  return {
    token: fragment.get("token"),
    room: /^[A-Za-z0-9_.-]{1,64}$/.test(query.get("room") ?? "") ? query.get("room") : null,
    role: ROLES.find((known) => known === role) ?? "customer",
    name: (query.get("name") ?? "").slice(0, 64),
    codec: CODECS.includes(codec) ? codec : null,
    language: language === "en" ? "en" : language?.startsWith("zh") ? "zh-CN" : null,
    debug: query.get("debug") === "1",
  };
}

/**
 * The address without the token, so that it stays out of the history, bookmarks and screenshots.
 *
 * @param {{ pathname: string, search: string, hash: string }} address
 */
export function withoutToken({ pathname, search, hash }) {
  const fragment = new URLSearchParams(hash.replace(/^#/, ""));
  fragment.delete("token");
  const rest = fragment.toString();
  return pathname + search + (rest ? `#${rest}` : "");
}

/**
 * What a token says of its holder, for display only: the server checks it.
 *
 * @param {string} token
 * @returns {{ name: string, role: Role | null, room: string }}
 */
export function describeToken(token) {
  try {
    const part = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return {
      name: typeof claims.name === "string" ? claims.name.slice(0, 64) : "",
      role: ROLES.find((known) => known === claims.role) ?? null,
      room: typeof claims.room === "string" ? claims.room : "",
    };
  } catch {
    return { name: "", role: null, room: "" };
  }
}
